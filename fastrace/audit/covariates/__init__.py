"""What is known of patients beside their images: how far it reaches alone."""
