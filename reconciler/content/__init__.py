"""What documents download, fetched by the management host: takes sources, gives contents by SHA-256; nodes fetch nothing."""
