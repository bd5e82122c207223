package link

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/ipv4"
)

// A scripted socket gives the answers of its script to ReadBatch, one after another.
type scripted struct {
	*net.UDPConn
	answers []answer
}

type answer struct {
	n   int
	err error
}

func (s *scripted) ReadBatch([]ipv4.Message, int) (int, error) {
	a := s.answers[0]
	s.answers = s.answers[1:]
	return a.n, a.err
}

// A socket of an application may answer anything. quic-go slices by the count.
func TestCountOfABatch(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	tests := []struct {
		name    string
		answers []answer
		n       int
		err     error
	}{
		{"three packets", []answer{{3, nil}}, 3, nil},
		{"golang.org/x/net counts -1 with an error", []answer{{-1, reset}, {2, nil}}, 2, nil},
		{"packets and an error", []answer{{4, reset}, {1, nil}}, 1, nil},
		{"nothing and no error", []answer{{0, nil}, {-1, nil}, {1, nil}}, 1, nil},
		{"closed", []answer{{-1, net.ErrClosed}}, 0, net.ErrClosed},
		{"more packets than there is room for", []answer{{5, nil}}, 0, errBatch},
	}
	for _, tt := range tests {
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		_, pc := newSlot(newSocket(&scripted{u, tt.answers}))
		n, err := pc.(batchReader).ReadBatch(make([]ipv4.Message, 4), 0)
		if n != tt.n || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %d, %v; want %d, %v", tt.name, n, err, tt.n, tt.err)
		}
	}
}
