package linktest

import "encoding/binary"

// Initial returns packet n of a flood: it begins a handshake, as far as a host can tell before it
// has looked at what is inside (RFC 9000 section 17.2.2). That is all that a host does before it
// answers with a Retry.
func Initial(n int) []byte {
	b := make([]byte, 1200)
	b[0] = 0xc3
	binary.BigEndian.PutUint32(b[1:], 1) // the version
	b[5] = 8                             // the length of the host's connection ID
	binary.BigEndian.PutUint64(b[6:], uint64(n)+1<<32)
	b[14], b[15] = 0, 0                                        // no ID of the UE, no token
	binary.BigEndian.PutUint16(b[16:], 0x4000|uint16(1200-18)) // the rest
	return b
}

// IsRetry says whether a packet is a Retry (RFC 9000 section 17.2.5).
func IsRetry(b []byte) bool { return len(b) > 0 && b[0]&0xf0 == 0xf0 }
