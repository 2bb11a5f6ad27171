"""The rules about patches and package versions: takes what is installed and offered, gives decisions; pure."""
