"""What is on a node: takes questions, gives `Facts` whose every section is Known or Unknown; decides nothing."""
