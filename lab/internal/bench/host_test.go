package bench

import (
	"net"
	"testing"
)

// A host has the same port by UDP and by TCP, or none: what it had of it is free again.
func TestListenBoth(t *testing.T) {
	pc, streams, err := listenBoth("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := pc.LocalAddr().String()
	if got := streams.Addr().String(); got != at {
		t.Errorf("UDP is at %s and TCP at %s", at, got)
	}
	pc.Close()
	if _, _, err := listenBoth(at); err == nil {
		t.Errorf("it listens at %s, whose TCP port is taken", at)
	}
	free, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatalf("the UDP port is not free again: %v", err)
	}
	free.Close()
	streams.Close()
	if pc, streams, err = listenBoth(at); err != nil {
		t.Fatalf("at a port that is free: %v", err)
	}
	pc.Close()
	streams.Close()
}
