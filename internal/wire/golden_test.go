package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/offload"
)

// A golden is an example frame of docs/protocol.md.
type golden struct {
	value   any                          // what the frame says
	bytes   []byte                       // the frame, without its payload
	read    func(io.Reader) (any, error) // reads what follows the frame's type
	payload string
}

// goldenFrames are all frames, by their names in the document.
var goldenFrames = map[string]golden{
	"hello":   controlFrame(TypeHello, Hello{Name: "ue", Session: 5}),
	"welcome": controlFrame(TypeWelcome, Welcome{Name: "edge", Cores: 2, Lifeline: 7000, Key: [16]byte{1}, Now: 1800000000000}),
	"goaway":  controlFrame(TypeGoAway, GoAway{Reason: "drain"}),
	"have":    controlFrame(TypeHave, Have{Digest: [32]byte{1}}),
	"put":     controlFrame(TypePut, Put{Digest: [32]byte{1}, Size: 1000}),
	"loaded":  controlFrame(TypeLoaded, Loaded{Ready: true}),
	"ping":    controlFrame(TypePing, Ping{Token: 7}),
	"pong":    controlFrame(TypePong, Ping{Token: 7}),

	"call": dataFrame(AppendCall, ReadCall, Call{Module: [32]byte{1}, Fn: 3, Deadline: 500 * time.Millisecond, Size: 2}, "hi"),
	"result": dataFrame(AppendResult, ReadResult, Result{
		Queue: time.Millisecond, Run: 2 * time.Millisecond, Size: 2,
		Spans: []Span{{"x", 3 * time.Microsecond}},
	}, "ok"),
	"fail": dataFrame(AppendFail, readFail, Fail{Code: offload.CodeDraining, Text: "no"}, ""),

	"attach": dataFrame(AppendAttach, ReadAttach, Attach{
		ID: 9, Module: [32]byte{1}, Fn: 3, Window: 32, Deadline: 100 * time.Millisecond,
		Extensions: Extensions{}.Append(ExtensionClass, []byte("ar")),
	}, ""),
	"attached": dataFrame(appendAttached, ReadCredit, Credit{Messages: 32, Bytes: 1 << 20}, ""),
	"restore":  dataFrame(appendRestore, ReadState, State{Seq: 40, Size: 2}, "st"),
	"message":  dataFrame(AppendMessage, ReadMessage, Message{Epoch: 2, Seq: 41, Quiet: true, Size: 2}, "in"),
	"outcome":  dataFrame(AppendOutcome, ReadOutcome, Outcome{Epoch: 2, Seq: 42, Run: time.Millisecond, Size: 3}, "out"),
	"credit":   dataFrame(appendCredit, ReadCredit, Credit{Messages: 34, Bytes: 1<<20 + 4, Done: 2}, ""),
	"halt":     dataFrame(AppendHalt, ReadHalt, Halt{Seq: 43, Fail: Fail{Code: offload.CodeTrapped, Started: true, Text: "no"}}, ""),
	"snapshot": dataFrame(AppendSnapshot, ReadSnapshot, Snapshot{ID: 9, Have: NoState}, ""),
	"state":    dataFrame(appendState, ReadState, State{Seq: 42, Took: 5 * time.Microsecond, Size: 2}, "st"),
	"part":     dataFrame(AppendPart, ReadPart, Part{ID: 9, Epoch: 2, Seq: 44, Index: 1, Parts: 4, Size: 2}, "in"),
	"enrol":    managerFrame(Enrol{Code: "MFRG", Request: []byte("csr")}),
	"cert":     managerFrame(Cert{Chain: [][]byte{[]byte("der")}, Roots: [][]byte{[]byte("ca")}}),
	"ask": managerFrame(Ask{Session: 5, Module: [32]byte{1}, Class: "ar", Hosts: []string{"e1"}, Need: Need{
		Latency: 50 * time.Millisecond, Rate: 30, Up: 100_000, Down: 1000, InFlight: 2, Memory: 1 << 20, Labels: []string{"gpu=yes"}, Price: 0.5,
	}}),
	"candidates": managerFrame(Candidates{Session: 5, Round: 1, Theta: 20 * time.Millisecond, Hosts: []Candidate{{"e1", []string{"h:7"}}}}),
	"feel": managerFrame(Feel{
		Session: 5, Round: 1,
		Links: []LinkFeel{{"e1", 4 * time.Millisecond, time.Millisecond, 1, 100}},
		Calls: []CallsFeel{{"e1", 30, 1, 20 * time.Millisecond, 40 * time.Millisecond}},
	}),
	"place": managerFrame(Place{
		Session: 5, Number: 2, Primary: Placed{"e1", []string{"h:7"}, []byte("v4")}, Why: "room", By: time.Second, RetryAfter: time.Minute,
	}),
	"bye": managerFrame(Bye{Session: 5}),
	"register": managerFrame(Register{
		Addresses: []string{"h:7"}, Turns: 2, Memory: 1 << 30, Accelerators: []string{"gpu"}, Labels: []string{"gpu=yes"}, Price: 0.5, Version: "v1",
	}),
	"holding": managerFrame(Holding{Leases: [][]byte{[]byte("v4")}, More: true, Addresses: [][]string{{"h:8"}}}),
	"adopted": managerFrame(Adopted{
		Run: Run{1}, Epoch: 2, Now: 1800000000000, Runs: []Run{{1}}, Keys: [][32]byte{{2}}, Revoked: []string{"id"}, Beat: time.Second, More: true,
	}),
	"beat": managerFrame(Beat{
		Number: 3, Turns: 1, Held: 1000,
		Modules: []ModuleBeat{{
			Module: [32]byte{1}, State: ModuleCompiled, Calls: 9, R: 180 * time.Millisecond, S: 90 * time.Millisecond,
			S10: 9 * time.Millisecond, R50: 19 * time.Millisecond, R99: 40 * time.Millisecond,
		}},
		Sessions: []SessionBeat{{LeaseID{1}, true, 9, time.Second}}, More: true,
	}),
	"order": managerFrame(Order{
		Number: 4, Epoch: 2, Kind: OrderPrepare, Lease: []byte("v4"), ID: LeaseID{1}, Limits: Limits{30, 1 << 20, 1},
		By: time.Second, Module: [32]byte{1}, N: 5, Who: "id",
	}),
	"did": managerFrame(Did{
		Number: 4, Failed: true, Code: offload.CodeOverloaded, Why: "full", Addresses: []string{"h:8"},
		Samples: []time.Duration{time.Millisecond}, Ready: time.Second, RetryAfter: 2 * time.Second,
	}),
	"single": dataFrame(AppendSingle, ReadSingle, Message{ID: 9, Epoch: 2, Seq: 44, Size: 2}, "in"),
}

func controlFrame[T any](t Type, v T) golden {
	return golden{value: v, bytes: AppendControl(nil, t, v), read: func(r io.Reader) (any, error) {
		var got T
		err := ReadControl(r, &got)
		return got, err
	}}
}

func managerFrame[T ManagerFrame](v T) golden {
	g := controlFrame(v.frame(), v)
	g.read = func(r io.Reader) (any, error) { return ReadManagerFrame(r, v.frame()) }
	return g
}

func dataFrame[T any](write func([]byte, T) []byte, read func(io.Reader) (T, error), v T, payload string) golden {
	return golden{v, write(nil, v), func(r io.Reader) (any, error) { return read(r) }, payload}
}

func appendAttached(b []byte, c Credit) []byte { return AppendCredit(b, TypeAttached, c) }
func appendCredit(b []byte, c Credit) []byte   { return AppendCredit(b, TypeCredit, c) }
func appendRestore(b []byte, s State) []byte   { return AppendState(b, TypeRestore, s) }
func appendState(b []byte, s State) []byte     { return AppendState(b, TypeState, s) }

func readFail(r io.Reader) (Fail, error) {
	f, err := ReadFail(r)
	if err != nil {
		return Fail{}, err
	}
	return *f, nil
}

// documented returns the golden bytes of docs/protocol.md by the frames' names.
func documented(t *testing.T) map[string][]byte {
	t.Helper()
	doc, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```golden\n")
	table, _, _ := strings.Cut(rest, "```")
	frames := map[string][]byte{}
	trailingHex := regexp.MustCompile(`(?:\s[0-9a-f]+)+$`)
	for line := range strings.Lines(table) {
		line = strings.TrimRight(line, "\n")
		name, _, _ := strings.Cut(line, " ")
		b, err := hex.DecodeString(strings.ReplaceAll(trailingHex.FindString(line), " ", ""))
		if err != nil {
			t.Fatalf("golden line %q: %v", line, err)
		}
		frames[name] = b
	}
	return frames
}

// A change of these bytes is a change of the protocol: it needs a new version.
func TestDocumentHasTheBytes(t *testing.T) {
	frames := documented(t)
	for name, b := range frames {
		g, ok := goldenFrames[name]
		if !ok {
			t.Errorf("the document has a frame %q that is not tested", name)
			continue
		}
		if want := append(g.bytes[:len(g.bytes):len(g.bytes)], g.payload...); !bytes.Equal(b, want) {
			t.Errorf("%s: the document has %x, the code makes %x", name, b, want)
		}
	}
	if len(frames) != len(goldenFrames) {
		t.Errorf("the document has %d of %d frames", len(frames), len(goldenFrames))
	}
}

func TestDocumentsBytesAreRead(t *testing.T) {
	for name, b := range documented(t) {
		g, ok := goldenFrames[name]
		if !ok {
			continue // TestDocumentHasTheBytes reports it
		}
		r := bytes.NewReader(b)
		expectType(t, r, Type(g.bytes[0]))
		got, err := g.read(r)
		if diff := cmp.Diff(g.value, got); diff != "" || err != nil {
			t.Errorf("%s: read of %x: %v; -want +got:\n%s", name, b, err, diff)
		}
		if rest, _ := io.ReadAll(r); string(rest) != g.payload {
			t.Errorf("%s: read of %x leaves %q, want the payload %q", name, b, rest, g.payload)
		}
	}
}

// A stream that ends inside a frame is told from one that ends between frames.
func TestFramesCutAnywhere(t *testing.T) {
	for name, g := range goldenFrames {
		for n := 1; n < len(g.bytes); n++ {
			if _, err := g.read(bytes.NewReader(g.bytes[1:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: %d of %d bytes, %x, gave %v, want %v", name, n, len(g.bytes), g.bytes[:n], err, io.ErrUnexpectedEOF)
			}
		}
	}
}

// Each frame has a type of its own.
func TestTypesDiffer(t *testing.T) {
	names := map[byte]string{}
	for name, g := range goldenFrames {
		if other, ok := names[g.bytes[0]]; ok {
			t.Errorf("%s and %s are both of type 0x%02x", name, other, g.bytes[0])
		}
		names[g.bytes[0]] = name
	}
}
