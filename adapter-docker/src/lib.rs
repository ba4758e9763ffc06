//! The Docker volume plugin: Docker's protocol on one side, the Fairlead engine on the other
