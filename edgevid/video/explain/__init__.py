"""What a network looks at in a video: class activation maps of each frame, drawn over it."""
