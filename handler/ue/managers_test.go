package ue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bungee-xr/bungee/handler/ue"
)

// Each attempt begins with the next manager, and what is no address is left out.
func TestFindManagers(t *testing.T) {
	many := make(ue.Addresses, 50)
	for i := range many {
		many[i] = "10.0.0.1:1"
	}
	for _, tt := range []struct {
		at   ue.Addresses
		n    int
		want string
	}{
		{ue.Addresses{"a.example:1", "b.example:2"}, 0, "a.example:1,b.example:2"},
		{ue.Addresses{"a.example:1", "b.example:2"}, 3, "b.example:2,a.example:1"},
		{ue.Addresses{"https://a.example", "b.example:2", ""}, 7, "b.example:2"},
		{many, 0, strings.Join(many[:16], ",")},
	} {
		if got, err := ue.Find(context.Background(), tt.at, tt.n); got != tt.want || err != nil {
			t.Errorf("%v, attempt %d: %q, %v; want %q", tt.at, tt.n, got, err, tt.want)
		}
	}
	for _, none := range []ue.Discoverer{ue.Addresses{}, ue.Addresses{"x"}, broken{}} {
		if got, err := ue.Find(context.Background(), none, 1); err == nil {
			t.Errorf("%v: %q, and no error", none, got)
		}
	}
}

type broken struct{}

func (broken) Managers(context.Context) ([]string, error) { return nil, errors.New("no network") }

// SRV asks for the records of RFC 2782, the best first.
func TestSRV(t *testing.T) {
	asked := make(chan string, 1)
	r := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ue, dns := net.Pipe()
		go func() { // ends with the connection
			defer dns.Close()
			asked <- answerSRV(dns)
		}()
		return ue, nil
	}}
	got, err := ue.SRV{Domain: "edge.example.", Resolver: r}.Managers(t.Context())
	if want := []string{"m1.edge.example:4434", "m2.edge.example:4435"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if got, want := <-asked, "_bungee-manager._udp.edge.example."; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
	if _, err := (ue.SRV{Domain: "edge.example.", Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, io.ErrClosedPipe
	}}}).Managers(t.Context()); err == nil {
		t.Error("no resolver: no error")
	}
}

// answerSRV answers a question over a stream, and returns its name.
func answerSRV(c net.Conn) string {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return ""
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	var m dnsmessage.Message
	if _, err := io.ReadFull(c, b); err != nil || m.Unpack(b) != nil || len(m.Questions) != 1 {
		return ""
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	for _, s := range []dnsmessage.SRVResource{
		{Priority: 20, Port: 4435, Target: dnsmessage.MustNewName("m2.edge.example.")},
		{Priority: 10, Port: 4434, Target: dnsmessage.MustNewName("m1.edge.example.")},
	} {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &s})
	}
	b, err := m.AppendPack(nil)
	if err != nil {
		return err.Error()
	}
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return q.Name.String()
}

func TestCheckNeed(t *testing.T) {
	if err := ue.CheckNeed(ue.Need{}); err != nil {
		t.Errorf("the zero Need: %v", err)
	}
	for _, n := range []ue.Need{
		{Latency: -1}, {InFlight: -1}, {Up: -1}, {Down: -1}, {Memory: -1}, {Rate: -1}, {Rate: math.NaN()}, {Rate: math.Inf(1)}, {Price: -1}, {Price: math.NaN()},
		{Class: strings.Repeat("x", 65)}, {Labels: make([]string, 17)}, {Labels: []string{strings.Repeat("x", 97)}},
	} {
		if err := ue.CheckNeed(n); err == nil {
			t.Errorf("%+v: no error", n)
		}
	}
}
