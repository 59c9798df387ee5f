"""What a streamed piece of text costs on its way: measured on the whole running system."""
