"""What block storage does after it has answered 202, one module for each kind of subject."""
