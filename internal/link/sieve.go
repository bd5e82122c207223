package link

import (
	"encoding/binary"
	"hash/maphash"
	"net"
	"time"
)

// A sieve holds back, from quic-go, the packets of a flood that would begin handshakes. quic-go answers each with a Retry, which
// takes 15 us of a core, or looks into it; the sieve takes a small part of one, so that packets of connections
// that are up are read in time. What it drops a UE sends again, after 200 ms at first. Packets that come with a token
// have an allowance of their own: so whoever has got a Retry goes on beside a flood of forged addresses. Of each allowance
// the packets of one network may take half, so that a flood from one, which forges nothing, leaves the rest to others.
type sieve struct {
	seed          maphash.Seed
	with, without class
}

// A sifting socket gives only packets that a function lets pass.
type sifting interface {
	siftBy(passes func(b []byte, from net.Addr) bool)
}

// A class is packets of one kind: all of them, and those of networks whose hashes share a part.
type class struct {
	all   allowance
	parts [64]allowance
}

// How many packets that would begin handshakes pass in a second, 3 % of a core, and how many at once.
const (
	openingsPerSecond = 2000
	openingsAtOnce    = 500
)

func newSieve() *sieve {
	s := &sieve{seed: maphash.MakeSeed()}
	for _, c := range []*class{&s.with, &s.without} {
		c.all.every, c.all.atOnce = time.Second/openingsPerSecond, openingsAtOnce
		for i := range c.parts {
			c.parts[i].every, c.parts[i].atOnce = 2*c.all.every, c.all.atOnce/2
		}
	}
	return s
}

// passes says whether quic-go is to see packet b, which came from there.
func (s *sieve) passes(b []byte, from net.Addr) bool {
	opens, token := opening(b)
	if !opens {
		return true
	}
	c := &s.without
	if token {
		c = &s.with
	}
	now := time.Now()
	return c.parts[s.partOf(from)].take(now) && c.all.take(now)
}

func (s *sieve) partOf(from net.Addr) uint64 {
	return maphash.Comparable(s.seed, network(from)) % uint64(len(s.with.parts))
}

// opening says whether b may begin a handshake, or be answered as if it did, and whether it claims to have a token: it is an Initial of QUIC version 1 (RFC
// 9000 section 17.2.2), or a packet with a long header of another version, to which a host says which it speaks (section 17.2.1).
func opening(b []byte) (opens, token bool) {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return false, false
	}
	if binary.BigEndian.Uint32(b[1:]) != 1 {
		return true, false
	}
	if b[0]&0x30 != 0 {
		return false, false
	}
	b = b[5:]
	for range 2 { // the IDs of host and UE
		n := 1 + int(b[0])
		if len(b) <= n {
			return true, false
		}
		b = b[n:]
	}
	return true, b[0] != 0
}
