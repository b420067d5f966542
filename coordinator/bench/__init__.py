"""`edgetally bench`: what a real coordinator takes in here, beside what its signature checks alone cost."""
