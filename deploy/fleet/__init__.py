"""What `weir up` supervises: servers, services, and the line that tells what flows."""
