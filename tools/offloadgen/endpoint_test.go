package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/offload/pack"
)

// The guest functions of testdata/run/endpoint.txtar, by index: the function comes
// first, then the endpoints with three each.
const (
	fnDouble  = 0
	fnCounter = 1
	fnMean    = 4

	opSave    = 1 // behind an endpoint's first function
	opRestore = 2
)

// A side serves the guest functions: the native program, or an instance of the
// module. Requests and replies are in hexadecimal.
type side interface {
	call(t *testing.T, fn uint64, request string) (reply string)
}

// A native is the program of testdata/run/endpoint.txtar, at work.
type native struct {
	in  io.Writer
	out *bufio.Scanner
}

func startNative(t *testing.T, dir string) *native {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "app")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(bin)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("the program: ", err)
		}
	})
	return &native{in, bufio.NewScanner(out)}
}

func (n *native) call(t *testing.T, fn uint64, request string) string {
	t.Helper()
	return n.ask(t, fmt.Sprintf("%d %s", fn, request))
}

func (n *native) ask(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(n.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	if !n.out.Scan() {
		t.Fatalf("%q: the program gave no answer: %v", line, n.out.Err())
	}
	return n.out.Text()
}

// TestEndpoint compares endpoints natively and in the module: what messages come
// to and what they leave is the same, wherever the state has been meanwhile.
func TestEndpoint(t *testing.T) {
	dir := t.TempDir()
	makeModule(t, dir, get(t, "testdata/run/endpoint.txtar"))
	generate(t, dir)
	wasm := unzip(t, filepath.Join(dir, wasmFile))
	here := startNative(t, dir)
	sides := map[string]side{"native": here, "Wasm": instantiate(t, wasm), "other Wasm": instantiate(t, wasm)}
	for name, s := range sides {
		if got, want := s.call(t, fnDouble, "15"), "002a"; got != want {
			t.Errorf("double(21) on %s = %s; want %s", name, got, want)
		}
	}
	moves := [][2]string{{"native", "Wasm"}, {"Wasm", "native"}, {"Wasm", "other Wasm"}}
	for _, m := range moves {
		testMoves(t, fnCounter, counterMessages, sides, m)
		testMoves(t, fnMean, meanMessages, sides, m)
	}
	for name, s := range sides {
		testBadState(t, name, s)
	}
	odd := here.call(t, fnCounter, hex.EncodeToString(counterMessages[1]))
	if got := here.ask(t, "is "+odd); got != "true <nil>" {
		t.Errorf("outcome %s is an error that is errOdd, broken: %s; want true, <nil>", odd, got)
	}
	if got := here.call(t, fnCounter, "c1"); !strings.HasPrefix(got, "01") {
		t.Errorf("a message that does not decode came to %s; want an error", got)
	}
}

var counterMessages = [][]byte{
	words("a", "b"), words("a"), words(), words("b", "a", "c", "a"), words("d", "a", "b"), words("d", "d"),
}

func words(list ...string) []byte {
	b := pack.AppendArray(nil, len(list))
	for _, w := range list {
		b = pack.AppendString(b, w)
	}
	return b
}

var meanMessages = [][]byte{
	pack.AppendFloat64(nil, 1), pack.AppendFloat64(nil, 0.1), pack.AppendFloat64(nil, -1e300), pack.AppendFloat64(nil, 3),
}

// testMoves moves an endpoint from one side to another after each number of
// messages, and compares with one that stays on the UE.
func testMoves(t *testing.T, fn uint64, messages [][]byte, sides map[string]side, move [2]string) {
	t.Helper()
	outcomes, states := make([]string, len(messages)), make([]string, len(messages)+1)
	begin := func(s side, state string) {
		if got := s.call(t, fn+opRestore, state); got != "00" {
			t.Fatalf("restore of %q: %s; want 00", state, got)
		}
	}
	here := sides["native"]
	begin(here, "")
	states[0] = state(t, here, fn)
	for i, m := range messages {
		outcomes[i] = here.call(t, fn, hex.EncodeToString(m))
		states[i+1] = state(t, here, fn)
	}
	for n := range len(messages) + 1 {
		s := sides[move[0]]
		begin(s, "")
		for i, m := range messages {
			if i == n {
				moved := state(t, s, fn)
				s = sides[move[1]]
				begin(s, moved)
			}
			if got := s.call(t, fn, hex.EncodeToString(m)); got != outcomes[i] {
				t.Errorf("%s to %s after %d messages: message %d came to %s; want %s", move[0], move[1], n, i, got, outcomes[i])
			}
			if got := state(t, s, fn); got != states[i+1] {
				t.Errorf("%s to %s after %d messages: message %d left state %s; want %s", move[0], move[1], n, i, got, states[i+1])
			}
		}
	}
}

func state(t *testing.T, s side, fn uint64) string {
	t.Helper()
	got, ok := strings.CutPrefix(s.call(t, fn+opSave, ""), "00")
	if !ok {
		t.Fatalf("save gave status %.2s", got)
	}
	return got
}

// testBadState restores states that do not decode: each is an error, and the
// state is the zero value's afterwards.
func testBadState(t *testing.T, name string, s side) {
	t.Helper()
	s.call(t, fnCounter+opRestore, "")
	zero := state(t, s, fnCounter)
	s.call(t, fnCounter, hex.EncodeToString(counterMessages[0]))
	good := state(t, s, fnCounter)
	for _, bad := range []string{"c1", good + "00", good[:len(good)-2]} {
		s.call(t, fnCounter, hex.EncodeToString(counterMessages[0]))
		reply, err := hex.DecodeString(s.call(t, fnCounter+opRestore, bad))
		if err != nil || abi.Status(reply[0]) != abi.Error || !strings.Contains(string(reply), "state of example.com/app.counter") {
			t.Errorf("%s: restore of %s: %q; want an error that names the endpoint", name, bad, reply)
		}
		if got := state(t, s, fnCounter); got != zero {
			t.Errorf("%s: state after restore of %s: %s; want the zero value's, %s", name, bad, got, zero)
		}
	}
}
