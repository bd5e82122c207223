package host_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/race"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload/pack"
)

// The tests of this file attack an edge host in a process of its own and look at the memory
// that the process takes. Its guests are native functions that share their replies and
// states, so that what it takes is what it holds for UEs.

const (
	siegeEnv   = "BUNGEE_TEST_BESIEGED" // the folder of the host's certificates
	siegeTotal = 256 << 20              // host.Config.Memory
	siegeLimit = 512 << 20              // of Go's memory in the host's process
	siegeSlack = 4 << 20                // of what is not held for anybody, such as stacks
	siegeBig   = 24 << 20               // a reply, a state, a message of the attackers
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(siegeEnv); dir != "" {
		if err := besieged(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// besieged runs an edge host. It prints its addresses, of UDP and of TCP, and for each line that it reads, what it
// holds and what its process takes.
func besieged(dir string) error {
	conf, err := identity.Load(dir, identity.Host)
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(siegeLimit)
	h, err := host.New(host.Config{Engine: native.Engine{Functions: siegeGuest}, TLS: conf, Memory: siegeTotal, Calls: 2})
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.ServeTCP(ln)
	served := make(chan error, 1)
	go func() { served <- h.Serve(context.Background(), pc) }()
	fmt.Println(pc.LocalAddr(), ln.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		m := h.Memory()
		debug.FreeOSMemory() // a host at rest takes what it needs, no more
		fmt.Println(m.Held, m.Peak, m.TooMuch+m.Busy+m.Late, resident("VmRSS"), resident("VmHWM"))
	}
	h.Close()
	return <-served
}

// siegeReply is the reply, and the state, of all guests of a besieged host.
var siegeReply = sync.OnceValue(func() []byte { return make([]byte, 1+siegeBig) })

// siegeGuest is a guest: a call, a message and a save that say B, or nothing, are answered with
// siegeBig bytes, others with themselves.
func siegeGuest() []native.Func {
	var own []byte
	answer := func(_ context.Context, request, _ []byte) ([]byte, error) {
		if len(request) == 0 || request[0] == 'B' {
			return siegeReply(), nil
		}
		own = append(append(own[:0], byte(abi.OK)), request...)
		return own, nil
	}
	quiet := func(context.Context, []byte, []byte) ([]byte, error) { return []byte{byte(abi.OK)}, nil }
	return []native.Func{answer, answer, quiet}
}

// resident returns a size, in bytes, of /proc/self/status.
func resident(key string) (bytes int64) {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), key+":")
	fmt.Sscan(after, &bytes)
	return bytes << 10
}

// A siege is a host in a process of its own, and its UEs.
type siege struct {
	t   *testing.T
	ca  *identity.Authority
	out *bufio.Reader
	in  *os.File

	addr *net.UDPAddr
	tcp  string
}

// look is what the host's process says of itself.
type look struct{ held, peak, refused, now, most int64 }

func layTo(t *testing.T) *siege {
	t.Helper()
	if resident("VmHWM") == 0 {
		t.Skip("no /proc/self/status here; on Linux: go test ./handler/host -run TestAttacksOnMemory")
	}
	ca, err := identity.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := ca.Write(dir); err != nil {
		t.Fatal(err)
	}
	s := &siege{t: t, ca: ca}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), siegeEnv+"="+dir)
	cmd.Stderr = os.Stderr
	in, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	s.in, s.out = w, bufio.NewReader(out)
	t.Cleanup(func() {
		w.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the host's process: %v", err)
		}
	})
	line, err := s.out.ReadString('\n')
	udp, tcp, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err == nil {
		s.addr, err = net.ResolveUDPAddr("udp", udp)
	}
	if s.tcp = tcp; err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *siege) look() (l look) {
	s.t.Helper()
	fmt.Fprintln(s.in)
	if _, err := fmt.Fscanln(s.out, &l.held, &l.peak, &l.refused, &l.now, &l.most); err != nil {
		s.t.Fatalf("the host's process is gone: %v", err)
	}
	return l
}

// dial connects a UE of that name, which has brought its module and has said hello.
func (s *siege) dial(name string) *link.Conn {
	s.t.Helper()
	conf, err := s.ca.TLS(identity.UE, name)
	if err != nil {
		s.t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := link.Dial(s.t.Context(), pc, s.addr, conf)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.settle(c)
}

// dialTCP is dial over TCP.
func (s *siege) dialTCP(name string) *link.Conn {
	s.t.Helper()
	conf, err := s.ca.TLS(identity.UE, name)
	if err != nil {
		s.t.Fatal(err)
	}
	nc, err := net.Dial("tcp", s.tcp)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := link.DialTCP(s.t.Context(), nc, nc.RemoteAddr(), conf)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.settle(c)
}

// settle has a UE say hello and bring its module.
func (s *siege) settle(c *link.Conn) *link.Conn {
	s.t.Helper()
	s.t.Cleanup(func() { c.Close("") })
	greet(s.t, c, 7)
	ask(s.t, c, put(wasm), true)
	return c
}

// sends opens a stream and sends b on it. It does not wait: who is not read cannot send on.
func (s *siege) sends(c *link.Conn, b []byte) link.Stream {
	s.t.Helper()
	st, err := c.Open(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	go st.Write(b) // ends with the connection
	return st
}

// big is a request that is answered with siegeBig bytes.
func big() []byte {
	return append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: 1}), 'B')
}

// half returns a frame and all but the last byte of its payload.
func half(header []byte, size int) []byte { return append(header, make([]byte, size-1)...) }

// attacks make a host hold bytes for a UE, 200 to 700 MiB each.
var attacks = []struct {
	name string
	run  func(s *siege, c *link.Conn)
}{
	{"replies that are not read", unreadReplies},
	{"states that are not read", func(s *siege, c *link.Conn) {
		s.attach(c, 7, false)
		for i := range 28 {
			s.sends(c, wire.AppendSnapshot(nil, wire.Snapshot{ID: uint64(i / 4), Have: wire.NoState}))
		}
	}},
	{"outcomes that are not read", func(s *siege, c *link.Conn) {
		for _, st := range s.attach(c, 25, false) {
			st.Write(append(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: 1}), 'B'))
		}
	}},
	{"calls cut short", func(s *siege, c *link.Conn) {
		for range 25 {
			s.sends(c, half(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: siegeBig}), siegeBig))
		}
	}},
	{"uploads cut short", cutUploads},
	{"replies that are not read, over TCP", func(s *siege, _ *link.Conn) { unreadReplies(s, s.dialTCP("hostile")) }},
	{"uploads cut short, over TCP", func(s *siege, _ *link.Conn) { cutUploads(s, s.dialTCP("hostile")) }},
	{"three tenants at once", func(s *siege, c *link.Conn) {
		unreadReplies(s, c)
		cutUploads(s, s.dial("hostile-2"))
		unreadReplies(s, s.dial("hostile-3"))
	}},
	{"restores cut short", func(s *siege, c *link.Conn) {
		for _, st := range s.attach(c, 25, false) {
			go st.Write(half(wire.AppendState(nil, wire.TypeRestore, wire.State{Size: siegeBig}), siegeBig))
		}
	}},
	{"messages cut short", func(s *siege, c *link.Conn) {
		for _, st := range s.attach(c, 25, false) {
			go st.Write(half(wire.AppendMessage(nil, wire.Message{Epoch: 1, Seq: 1, Size: siegeBig}), siegeBig))
		}
	}},
	{"connections", func(s *siege, c *link.Conn) { s.connect(100) }},
	{"first parts", func(s *siege, c *link.Conn) {
		s.attach(c, 5, true)
		for i := range uint64(16) {
			p := wire.Part{ID: i % 5, Epoch: 1, Seq: i + 1, Parts: 2, Size: siegeBig}
			st, err := c.Open(s.t.Context())
			if err != nil {
				s.t.Fatal(err)
			}
			st.Write(append(wire.AppendPart(nil, p), make([]byte, siegeBig)...))
			st.Close()
		}
	}},
}

func unreadReplies(s *siege, c *link.Conn) {
	for range 25 {
		s.sends(c, big())
	}
}

func cutUploads(s *siege, c *link.Conn) {
	for i := range 25 {
		p := wire.Put{Digest: [32]byte{byte(i)}, Size: siegeBig}
		s.sends(c, half(wire.AppendControl(nil, wire.TypePut, p), siegeBig))
	}
}

// connect connects UEs of the attackers' name. The host ends those it has no room for.
func (s *siege) connect(n int) {
	s.t.Helper()
	conf, err := s.ca.TLS(identity.UE, "hostile")
	if err != nil {
		s.t.Fatal(err)
	}
	for range n {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		if c, err := link.Dial(s.t.Context(), pc, s.addr, conf); err == nil {
			s.t.Cleanup(func() { c.Close("") })
		}
	}
}

// attach makes n far endpoints, whose IDs count from 0.
func (s *siege) attach(c *link.Conn, n int, latest bool) (all []link.Stream) {
	s.t.Helper()
	for id := range n {
		st, err := c.Open(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		st.Write(wire.AppendAttach(nil, wire.Attach{ID: uint64(id), Module: sha256.Sum256(wasm), Window: 8, Latest: latest}))
		if typ, err := wire.ReadType(st); err != nil || typ != wire.TypeAttached {
			s.t.Fatalf("attach %d: frame 0x%02x, %v", id, typ, err)
		}
		if _, err := wire.ReadCredit(st); err != nil {
			s.t.Fatal(err)
		}
		st.Write(wire.AppendState(nil, wire.TypeRestore, wire.State{}))
		if typ, err := wire.ReadType(st); err != nil || typ != wire.TypeCredit {
			s.t.Fatalf("restore %d: frame 0x%02x, %v", id, typ, err)
		}
		if _, err := wire.ReadCredit(st); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, st)
	}
	return all
}

// neighbour makes n calls of a few sizes, of which the native engine copies none, as it does larger ones. All must be
// answered.
func neighbour(t *testing.T, c *link.Conn, n int) {
	t.Helper()
	st, err := c.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		size := []int{10, 1000, pack.OwnedSize - 1}[i%3]
		request := make([]byte, size)
		binary.BigEndian.PutUint64(request, uint64(i))
		st.Write(append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(wasm), Size: size}), request...))
		typ, err := wire.ReadType(st)
		if err != nil || typ != wire.TypeResult {
			t.Errorf("a neighbour's call %d of %d bytes: frame 0x%02x, %v", i, size, typ, err)
			return
		}
		res, err := wire.ReadResult(st)
		if err == nil {
			request, err = wire.ReadPayload(st, request, res.Size)
		}
		if err != nil || len(request) != size || binary.BigEndian.Uint64(request) != uint64(i) {
			t.Errorf("a neighbour's call %d of %d bytes: %d bytes, %v", i, size, len(request), err)
			return
		}
	}
}

// What each attack makes the host's process take is bounded by the budget, and is what the budget says;
// a neighbour is served all the while.
func TestAttacksOnMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 30 s: go test ./handler/host -run TestAttacksOnMemory")
	}
	if race.Enabled {
		t.Skip("the race detector takes memory of its own: go test ./handler/host -run TestAttacksOnMemory")
	}
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			s := layTo(t)
			quiet, hostile := s.dial("quiet"), s.dial("hostile")
			ask(t, hostile, big(), true) // what one costs is no attack
			before := s.look()
			attack.run(s, hostile)
			neighbour(t, quiet, 1500)
			most := s.look()
			grown := most.most - before.now
			t.Logf("process grew by %d MiB to %d; %d MiB held, %d at most; %d refused",
				grown>>20, most.most>>20, most.held>>20, most.peak>>20, most.refused)
			t.Logf("that is %.2f of what was held", float64(grown)/float64(most.peak))
			if most := most.peak*6/5 + siegeSlack; grown > most {
				t.Errorf("the process grew by %d MiB; want %d at most, a fifth more than was held", grown>>20, most>>20)
			}
			if most.most > siegeLimit+siegeLimit/10 || most.peak > siegeTotal {
				t.Errorf("the process took %d MiB of %d, and held %d of %d", most.most>>20, siegeLimit>>20, most.peak>>20, siegeTotal>>20)
			}
			if most.peak < siegeTotal/2-siegeBig {
				t.Error("the attack asks for less than a tenant may have")
			}
		})
	}
}
