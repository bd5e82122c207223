package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bungee-xr/bungee/offload"
)

func text(n int) string { return strings.Repeat("x", n) }

func texts(n, size int) (all []string) {
	for range n {
		all = append(all, text(size))
	}
	return all
}

func blobs(n, size int) (all [][]byte) {
	for range n {
		all = append(all, bytes.Repeat([]byte{1}, size))
	}
	return all
}

func repeat[T any](n int, v T) (all []T) {
	for range n {
		all = append(all, v)
	}
	return all
}

const longest = time.Duration(math.MaxInt64)

// A UE and its manager tell each other durations only, so it does not matter how far apart their clocks are.
func TestFramesOfUETellNoTimeOfDay(t *testing.T) {
	var look func(path string, of reflect.Type)
	look = func(path string, of reflect.Type) {
		switch {
		case of == reflect.TypeFor[time.Time](), of == reflect.TypeFor[int64]() && !strings.HasSuffix(path, ".Memory"):
			t.Errorf("%s is a %v, and may be a time of day", path, of)
		case of.Kind() == reflect.Struct:
			for i := range of.NumField() {
				look(path+"."+of.Field(i).Name, of.Field(i).Type)
			}
		case of.Kind() == reflect.Slice, of.Kind() == reflect.Array, of.Kind() == reflect.Pointer:
			look(path, of.Elem())
		}
	}
	for _, f := range []ManagerFrame{Ask{}, Candidates{}, Feel{}, Place{}, Bye{}} {
		look(reflect.TypeOf(f).Name(), reflect.TypeOf(f))
	}
}

// fullFrames are as large as their bounds allow.
func fullFrames() map[string]ManagerFrame {
	placed := Placed{text(MaxHostName), texts(MaxAddresses, MaxAddress), blobs(1, MaxLease)[0]}
	need := Need{longest, math.MaxFloat64, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt64, texts(MaxLabels, MaxLabel), math.MaxFloat64}
	limits := Limits{math.MaxFloat64, math.MaxInt64, math.MaxInt}
	return map[string]ManagerFrame{
		"enrol":      Enrol{text(MaxCode), blobs(1, MaxCertificate)[0]},
		"ask":        Ask{math.MaxUint64, [32]byte{1}, text(MaxClass), need, texts(MaxHosts, MaxHostName)},
		"candidates": Candidates{math.MaxUint64, math.MaxUint32, longest, repeat(MaxHosts, Candidate{text(MaxHostName), texts(MaxAddresses, MaxAddress)})},
		"feel": Feel{math.MaxUint64, math.MaxUint32,
			repeat(MaxHosts, LinkFeel{text(MaxHostName), longest, longest, math.MaxUint64, math.MaxUint64}),
			repeat(MaxHosts, CallsFeel{text(MaxHostName), math.MaxUint64, math.MaxUint64, longest, longest})},
		"place":    Place{math.MaxUint64, math.MaxUint64, placed, placed, text(MaxWhy), longest, longest},
		"bye":      Bye{math.MaxUint64},
		"register": Register{texts(MaxAddresses, MaxAddress), math.MaxInt, math.MaxInt64, texts(MaxLabels, MaxLabel), texts(MaxLabels, MaxLabel), math.MaxFloat64, text(MaxName)},
		"adopted": Adopted{Run{1}, math.MaxUint64, math.MaxInt64, repeat(MaxRuns, Run{1}), repeat(MaxKeys, [32]byte{1}),
			texts(MaxRevoked, MaxID), longest, true},
		"beat": Beat{math.MaxUint64, math.MaxInt, math.MaxInt64,
			repeat(MaxBeatModules, ModuleBeat{[32]byte{1}, math.MaxUint8, math.MaxUint64, longest, longest, longest, longest, longest}),
			repeat(MaxBeatSessions, SessionBeat{LeaseID{1}, true, math.MaxUint64, longest}), true},
		"order": Order{math.MaxUint64, math.MaxUint64, math.MaxUint8, blobs(1, MaxLease)[0], LeaseID{1}, limits, longest, [32]byte{1}, math.MaxInt, text(MaxID)},
		"did":   Did{math.MaxUint64, true, math.MaxUint8, text(MaxWhy), texts(MaxAddresses, MaxAddress), repeat(MaxSamples, longest), longest, longest},
	}
}

// A frame within its bounds fits into a body, so that no peer's names can make a manager fail.
func TestFullManagerFramesFit(t *testing.T) {
	for name, f := range fullFrames() {
		b, err := AppendManagerFrame(nil, f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := bytes.NewReader(b)
		typ, _ := ReadType(r)
		if got, err := ReadManagerFrame(r, typ); err != nil || !reflect.DeepEqual(got, f) || r.Len() > 0 {
			t.Errorf("%s: %v, %d bytes left; -want +got:\n%s", name, err, r.Len(), cmp.Diff(f, got))
		}
	}
}

// Each bound is held by the end that writes and by the end that reads.
func TestManagerFramesOutOfBounds(t *testing.T) {
	tests := []struct {
		f    ManagerFrame
		says string
	}{
		{Enrol{Code: text(MaxCode + 1)}, "code of 65 bytes, over 64"},
		{Enrol{Request: make([]byte, MaxCertificate+1)}, "request"},
		{Cert{Chain: blobs(MaxChain+1, 1)}, "certificates"},
		{Cert{Chain: blobs(1, MaxCertificate+1)}, "certificate of"},
		{Cert{Roots: blobs(MaxRoots+1, 1)}, "authorities"},
		{Ask{Class: text(MaxClass + 1)}, "class"},
		{Ask{Hosts: texts(MaxHosts+1, 1)}, "hosts"},
		{Ask{Hosts: texts(1, MaxHostName+1)}, "name of a host"},
		{Ask{Need: Need{Latency: -1}}, "latency"},
		{Ask{Need: Need{Rate: math.NaN()}}, "rate of NaN"},
		{Ask{Need: Need{Rate: math.Inf(1)}}, "rate"},
		{Ask{Need: Need{Price: -1}}, "price"},
		{Ask{Need: Need{Up: -1}}, "bytes up"},
		{Ask{Need: Need{InFlight: -1}}, "in flight"},
		{Ask{Need: Need{Memory: -1}}, "memory"},
		{Ask{Need: Need{Labels: texts(1, MaxLabel+1)}}, "label"},
		{Candidates{Hosts: make([]Candidate, MaxHosts+1)}, "hosts"},
		{Candidates{Hosts: []Candidate{{Addresses: texts(MaxAddresses+1, 1)}}}, "addresses"},
		{Candidates{Theta: -1}, "theta"},
		{Feel{Links: []LinkFeel{{RTT: -1}}}, "round-trip"},
		{Feel{Calls: []CallsFeel{{P50: -1}}}, "p50"},
		{Feel{Calls: make([]CallsFeel, MaxHosts+1)}, "calls"},
		{Place{Standby: Placed{Lease: make([]byte, MaxLease+1)}}, "lease"},
		{Place{Primary: Placed{Addresses: texts(1, MaxAddress+1)}}, "address of"},
		{Place{By: -1}, "time to move"},
		{Register{Turns: -1}, "turns"},
		{Register{Labels: texts(MaxLabels+1, 1)}, "labels"},
		{Holding{Leases: blobs(MaxLeases+1, 1)}, "leases"},
		{Holding{Leases: blobs(1, 1), Addresses: make([][]string, 2)}, "addresses of leases"},
		{Holding{Leases: blobs(1, 1), Addresses: [][]string{texts(MaxAddresses+1, 1)}}, "addresses"},
		{Adopted{Runs: make([]Run, MaxRuns+1)}, "runs"},
		{Adopted{Keys: make([][32]byte, MaxKeys+1)}, "keys"},
		{Adopted{Revoked: texts(1, MaxID+1)}, "revoked ID"},
		{Adopted{Beat: -1}, "beats"},
		{Beat{Modules: make([]ModuleBeat, MaxBeatModules+1)}, "modules"},
		{Beat{Sessions: make([]SessionBeat, MaxBeatSessions+1)}, "sessions"},
		{Beat{Modules: []ModuleBeat{{S10: -1}}}, "time of a module"},
		{Beat{Sessions: []SessionBeat{{Idle: -1}}}, "idle"},
		{Order{Who: text(MaxID + 1)}, "ID"},
		{Order{Limits: Limits{Rate: -1}}, "rate"},
		{Order{N: -1}, "runs of a probe"},
		{Did{Samples: make([]time.Duration, MaxSamples+1)}, "samples"},
		{Did{Samples: []time.Duration{-1}}, "sample"},
		{Did{RetryAfter: -1}, "time to retry"},
		{Did{Why: text(MaxWhy + 1)}, "reason"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%T %s", tt.f, tt.says), func(t *testing.T) {
			if _, err := AppendManagerFrame(nil, tt.f); !errors.Is(err, ErrFrame) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("append gave %v, want %q", err, tt.says)
			}
			b := AppendControl(nil, tt.f.frame(), tt.f)
			if _, err := ReadManagerFrame(bytes.NewReader(b[1:]), tt.f.frame()); !errors.Is(err, ErrFrame) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("read gave %v, want %q", err, tt.says)
			}
		})
	}
	if _, err := AppendManagerFrame(nil, Cert{Chain: blobs(MaxChain, MaxCertificate), Roots: blobs(MaxRoots, MaxCertificate)}); !errors.Is(err, ErrFrame) {
		t.Errorf("a Cert that is too large in all: %v, want %v", err, ErrFrame)
	}
}

// Structs in lists may have other fields than ours, as those of a frame may.
func TestStructsOfOtherLengths(t *testing.T) {
	tests := []struct {
		name, link string
		want       LinkFeel
		ok         bool
	}{
		{"fewer", "\x91\xa1h", LinkFeel{Host: "h"}, true},
		{"none", "\x90", LinkFeel{}, true},
		{"nil", "\xc0", LinkFeel{}, true},
		{"more", "\x97\xa1h\x02\x03\x04\x05\x92\x01\xa3new\xc4\x01x", LinkFeel{"h", 2, 3, 4, 5}, true},
		{"with names", "\x81\xa4Host\xa1h", LinkFeel{}, false},
		{"cut", "\x92\xa1h", LinkFeel{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := "\x94\x05\x01\x91" + tt.link + "\x90"
			f, err := ReadManagerFrame(strings.NewReader(string([]byte{0, byte(len(body))})+body), TypeFeel)
			if (err == nil) != tt.ok {
				t.Fatalf("read of %x gave %v, want ok %v", body, err, tt.ok)
			}
			want := Feel{Session: 5, Round: 1, Links: []LinkFeel{tt.want}}
			if tt.ok && !cmp.Equal(f, want, cmpopts.EquateEmpty()) {
				t.Errorf("read of %x gave %+v, want %+v", body, f, want)
			}
		})
	}
}

// A list costs what its bytes say, not what its length says.
func TestListsThatAreOnlyAnnounced(t *testing.T) {
	for _, length := range []string{"\xdd\xff\xff\xff\xff", "\xdc\xff\xff", "\xdc\x01\x01"} {
		body := "\x96\x01\x01\x01" + length
		frame := string([]byte{0, byte(len(body))}) + body
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadManagerFrame(strings.NewReader(frame), TypeBeat)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrFrame) || grown > 256<<10 {
			t.Errorf("a list of length %x gave %v and took %d bytes", length, err, grown)
		}
	}
}

func TestReadManagerFrameOfAnotherKind(t *testing.T) {
	fail := Fail{Code: offload.CodeDenied, Text: "two managers"}
	var got *Fail
	if _, err := ReadManagerFrame(bytes.NewReader(AppendFail(nil, fail)[1:]), TypeFail); !errors.As(err, &got) || *got != fail {
		t.Errorf("a Fail gave %v, want %v", err, &fail)
	}
	if _, err := ReadManagerFrame(bytes.NewReader(nil), TypeHello); !errors.Is(err, ErrFrame) {
		t.Errorf("a Hello gave %v, want %v", err, ErrFrame)
	}
}

// Lists of any length go in frames that fit, and come whole.
func TestCutAndJoin(t *testing.T) {
	for _, n := range []int{0, 1, 32, 33, 128, 129, 700} {
		for _, f := range []ManagerFrame{
			Holding{Leases: blobs(n, 500+n)},
			Holding{Leases: blobs(n, MaxLease), Addresses: repeat(n, texts(MaxAddresses, MaxAddress))[:n:n]},
			Adopted{Run: Run{1}, Epoch: 3, Runs: make([]Run, 1), Revoked: texts(n, MaxID)},
			Beat{Number: 3, Held: 7, Modules: repeat(n/3, ModuleBeat{Calls: 1}), Sessions: repeat(n, SessionBeat{Calls: 1})},
		} {
			got, frames := sendThrough(t, f)
			if !reflect.DeepEqual(got, f) {
				t.Errorf("%T of %d: came otherwise, in %d frames", f, n, frames)
			}
			if n == 700 && frames < 6 {
				t.Errorf("%T of %d went in %d frames", f, n, frames)
			}
		}
	}
	if got, frames := sendThrough(t, Bye{5}); got != (Bye{5}) || frames != 1 {
		t.Errorf("a Bye came as %+v, in %d frames", got, frames)
	}
}

// sendThrough cuts f, writes, reads and joins it.
func sendThrough(t *testing.T, f ManagerFrame) (got ManagerFrame, frames int) {
	t.Helper()
	var err error
	more := true
	for _, part := range Cut(f) {
		b, werr := AppendManagerFrame(nil, part)
		if werr != nil || !more {
			t.Fatalf("frame %d of %T: %v, more: %v", frames, f, werr, more)
		}
		frames++
		if part, err = ReadManagerFrame(bytes.NewReader(b[1:]), Type(b[0])); err == nil {
			got, more, err = Join(got, part)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if more {
		t.Fatalf("%T has no end", f)
	}
	return got, frames
}

// Addresses stay with their leases where some have none.
func TestJoinKeepsAddresses(t *testing.T) {
	at, none := [][]string{{"h:1"}}, []string(nil)
	for _, tt := range []struct{ before, f, want [][]string }{
		{nil, nil, nil}, {at, nil, at}, {nil, at, [][]string{none, none, {"h:1"}}}, {at, at, [][]string{{"h:1"}, none, {"h:1"}}},
	} {
		got, _, err := Join(Holding{Leases: blobs(2, 1), Addresses: tt.before}, Holding{Leases: blobs(1, 1), Addresses: tt.f})
		if err != nil || !reflect.DeepEqual(got.(Holding).Addresses, tt.want) {
			t.Errorf("%v and %v: %v, %v; want %v", tt.before, tt.f, got, err, tt.want)
		}
	}
}

// A list that another frame breaks into, or that has no end, is refused.
func TestJoinRefuses(t *testing.T) {
	tests := []struct {
		name      string
		before, f ManagerFrame
	}{
		{"another frame", Beat{Number: 3}, Did{}},
		{"another list", Beat{Number: 3}, Holding{}},
		{"a list of the other kind", Holding{}, Adopted{}},
		{"another beat", Beat{Number: 3}, Beat{Number: 4}},
		{"another manager's", Adopted{Epoch: 3}, Adopted{Epoch: 4}},
		{"too long", Holding{Leases: make([][]byte, MaxJoined)}, Holding{Leases: make([][]byte, 1), More: true}},
		{"too many sessions", Beat{Sessions: make([]SessionBeat, MaxJoined)}, Beat{Sessions: make([]SessionBeat, 1)}},
		{"too many IDs", Adopted{Revoked: make([]string, MaxJoined)}, Adopted{Revoked: make([]string, 1)}},
	}
	for _, tt := range tests {
		if whole, _, err := Join(tt.before, tt.f); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v; want %v", tt.name, whole, err, ErrFrame)
		}
	}
}

// What a frame of a few bytes says of the length of a text or of bytes costs its reader nothing. An Enrol is read of
// peers that nobody knows yet.
func TestLengthsCostNothing(t *testing.T) {
	for _, code := range []string{"\xc6", "\xdb"} { // bytes and texts, of 32 bits
		for at := range 8 {
			body := string([]byte{0x90 + byte(at) + 1}) + strings.Repeat("\xc0", at) + code + "\x04\x00\x00\x00"
			for typ := range managerFrames {
				frame := append([]byte{0, byte(len(body))}, body...)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				got, err := ReadManagerFrame(bytes.NewReader(frame), typ)
				runtime.ReadMemStats(&after)
				if cost := after.TotalAlloc - before.TotalAlloc; cost > 8<<20 { // of 64; msgpack passes over a field that we do not know with 1 or 2 MiB
					t.Errorf("frame 0x%02x of %d bytes costs %d to read: %+v, %v", typ, len(frame), cost, got, err)
				}
			}
		}
	}
}

// What ReadManagerFrame accepts is written and read again as the same.
func FuzzReadManagerFrame(f *testing.F) {
	for _, g := range goldenFrames {
		if _, ok := managerFrames[Type(g.bytes[0])]; ok {
			f.Add(g.bytes)
		}
	}
	for _, full := range fullFrames() {
		b, _ := AppendManagerFrame(nil, full)
		f.Add(b)
	}
	f.Add([]byte("\x3a\x00\x09\x96\x01\x01\x01\xdd\xff\xff\xff\xff"))                  // a list that is only announced
	f.Add([]byte("\x30\x00\x07\x93\xc0\xdb\x59\x70\xf9\x4d\xa4"))                      // bytes that are only announced
	f.Add([]byte("\x34\x00\x0e\x94\x05\x01\x91\x97\xa1h\x02\x03\x04\x05\x92\x01\x01")) // fields that we do not know
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > MaxControl {
			return
		}
		got, err := ReadManagerFrame(bytes.NewReader(b[1:]), Type(b[0]))
		var fail *Fail
		switch {
		case errors.As(err, &fail), errors.Is(err, ErrFrame), errors.Is(err, io.ErrUnexpectedEOF):
			return
		case err != nil:
			t.Fatalf("read of %x gave %v", b, err)
		}
		again, err := AppendManagerFrame(nil, got)
		if err != nil {
			if len(b) > MaxControl/2 {
				return // a Cert of which fields were missing may not fit with them
			}
			t.Fatalf("%+v of %x is not written: %v", got, b, err)
		}
		if twice, err := ReadManagerFrame(bytes.NewReader(again[1:]), Type(again[0])); err != nil || !reflect.DeepEqual(twice, got) {
			t.Errorf("%+v of %x is written as %x and read as %+v, %v", got, b, again, twice, err)
		}
	})
}
