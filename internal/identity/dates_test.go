package identity

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCheckDates(t *testing.T) {
	ca, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ca.TLS(Host, "edge-7")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	const day = 24 * time.Hour
	tests := []struct {
		name    string
		at      time.Time
		says    string // "": nothing
		expired bool
	}{
		{"today", now, "", false},
		{"31 days before the end", now.Add(lifetime - 31*day), "", false},
		{"29 days before the end", now.Add(lifetime - 29*day), `certificate of host/edge-7: it expires on `, false},
		{"the next day", now.Add(lifetime + time.Minute), "it has expired on ", true},
		{"yesterday", now.Add(-day), "is a clock wrong?", false},
	}
	for _, tt := range tests {
		err := CheckDates(conf, tt.at)
		if (err == nil) != (tt.says == "") || errors.Is(err, ErrExpired) != tt.expired || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q, expired %v", tt.name, err, tt.says, tt.expired)
		}
	}
	for name, c := range map[string]*tls.Config{"none": {}, "empty": {Certificates: []tls.Certificate{{}}}, "garbage": {Certificates: []tls.Certificate{{Certificate: [][]byte{{1}}}}}} {
		if err := CheckDates(c, now); err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
