package link

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"
)

// A flood of handshakes that fail is a few lines in the log.
func TestStrangers(t *testing.T) {
	now := time.Now()
	var s strangers
	a := stranger{"10.0.0.1", "expired"}
	if _, ok := s.admit(a, now); !ok {
		t.Error("the first is not logged")
	}
	if _, ok := s.admit(a, now.Add(strangerMemory-time.Second)); ok {
		t.Error("the same is logged again too soon")
	}
	if _, ok := s.admit(stranger{a.addr, "another cause"}, now); !ok {
		t.Error("another cause is not logged")
	}
	if _, ok := s.admit(a, now.Add(strangerMemory)); !ok {
		t.Error("the same is never logged again")
	}

	s, now = strangers{}, now.Add(time.Hour)
	lines := 0
	for i := range 5000 {
		if _, ok := s.admit(stranger{fmt.Sprint(i), ""}, now); ok {
			lines++
		}
	}
	if lines != strangerLines {
		t.Errorf("5000 addresses in a minute are %d lines, want %d", lines, strangerLines)
	}
	if hidden, ok := s.admit(stranger{"later", ""}, now.Add(time.Minute)); !ok || hidden != 5000-strangerLines {
		t.Errorf("the next minute: %v, %d hidden; want %d", ok, hidden, 5000-strangerLines)
	}
	for i := range 5000 {
		s.admit(stranger{fmt.Sprint(i), "x"}, now.Add(time.Duration(i)*time.Minute))
	}
	if len(s.said) > strangersKept {
		t.Errorf("%d are kept, want %d at most", len(s.said), strangersKept)
	}
}

// Handshakes that fail are counted by their cause, those too that are not logged.
func TestHandshakeFailures(t *testing.T) {
	s := strangers{log: slog.New(slog.DiscardHandler)}
	from := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}
	for i := range 300 {
		why := []error{ErrIdentity, ErrVersion, ErrHandshake}[i%3]
		s.add(from, fmt.Errorf("number %d: %w", i/6, why))
	}
	got := s.failures()
	got.Add(HandshakeFailures{Identity: 1, Version: 2, Other: 3})
	if want := (HandshakeFailures{101, 102, 103}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
