package wire

// The protocols beside ALPN, which UEs and edge hosts speak with each other. Each has its own name in the TLS
// handshake, so whoever dials the wrong one learns it there.
const (
	ManagerALPN = "bungee-manager/1" // a UE or an edge host with its offload manager
	EnrolALPN   = "bungee-enrol/1"   // with a manager, of who has no certificate yet
)
