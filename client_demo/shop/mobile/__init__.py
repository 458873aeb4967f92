"""What a phone, a tablet or a television needs beside the app: where it starts there, and how it is built."""
