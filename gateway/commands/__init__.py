"""The commands of `aurora-gateway`, one file each; `gateway.cli` names them and loads them on need."""
