package host_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/native"
	"github.com/bungee-xr/bungee/handler/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/identity"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/radio"
	"github.com/bungee-xr/bungee/internal/wire"
)

// FuzzIsolation has two tenants do what a script says, legal or not, at a whole host in virtual time, and
// checks that nothing of one shows to the other, and that nothing is held in the end. The goroutines
// are checked by the bubble: it ends when all have.
//
// A step of a script is four bytes: who and what, and three arguments.
func FuzzIsolation(f *testing.F) {
	for _, seed := range isolationSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		for _, leak := range besiegeByTwo(t, remembering(nil), script) {
			t.Error(leak)
		}
	})
}

// maxSteps bounds a script.
const maxSteps = 64

// What a step can be. isolated.do says what its arguments are.
const (
	doHello = iota
	doPut
	doHave
	doCall
	doAttach
	doMessage
	doRestore
	doSnapshot
	doSingle
	doPart
	doPing
	doGarbage
	doHalf
	doReset
	doWait
	doReconnect
	steps
)

// isolationSeeds are scripts that reach each kind of step: what well-behaved tenants do at the
// same time, and then each step alone after it.
func isolationSeeds() (seeds [][]byte) {
	both := func(what byte, args ...byte) []byte {
		step := append([]byte{what}, args...)
		step = append(step, make([]byte, 4-len(step))...)
		other := slices.Clone(step)
		other[0] |= 0x80
		return append(step, other...)
	}
	good := slices.Concat(both(doHello, 1), both(doPut, 0), both(doPut, 1), both(doCall, 0, 0, 9), both(doCall, 1, 0, 9), both(doAttach, 1), both(doMessage, 1, 1), both(doSnapshot, 1))
	seeds = append(seeds, nil, good)
	for what := range byte(steps) {
		for arg := range byte(3) {
			seeds = append(seeds, slices.Concat(good, both(what, arg, arg+1, 7*arg)))
		}
	}
	// One tenant names what is the other's.
	seeds = append(seeds,
		[]byte{doHello, 1, 0, 0, doPut, 0, 0, 0, doAttach, 1, 0, 0, doMessage, 1, 1, 0, 0x80 + doHello, 1, 0, 0, 0x80 + doSnapshot, 1, 0, 0, 0x80 + doHave, 2, 0, 0, 0x80 + doCall, 2, 0, 0},
		[]byte{doHello, 1, 0, 0, doPut, 1, 0, 0, 0x80 + doPut, 1, 0, 0, doCall, 1, 0, 3, 0x80 + doCall, 1, 3, 3, 0x80 + doCall, 1, 4, 3, 0x80 + doCall, 1, 5, 3},
		[]byte{doHello, 1, 0, 0, doPut, 0, 0, 0, doAttach, 2, 1, 0, doPart, 2, 0, 1, doSingle, 2, 2, 1, doWait, 200, 0, 0, doReconnect, 0, 0, 0, doSnapshot, 2, 0, 0})
	return seeds
}

// remembering is an engine whose instances tell all that they have been told since they were made: an
// instance that served two tenants would tell each of the other. With shared they remember
// in one place, as a faulty engine's would.
func remembering(shared *memory) native.Engine {
	return native.Engine{Check: echoEngine.Check, Functions: func() []native.Func {
		m := shared
		if m == nil {
			m = &memory{}
		}
		told := func(status abi.Status) native.Func {
			return func(_ context.Context, request, dst []byte) ([]byte, error) {
				return append(append(dst, byte(status)), m.add(request)...), nil
			}
		}
		restore := func(_ context.Context, request, dst []byte) ([]byte, error) {
			m.set(request)
			return append(dst, byte(abi.OK)), nil
		}
		panics := func(_ context.Context, request, _ []byte) ([]byte, error) { panic(string(m.add(request))) }
		traps := func(_ context.Context, request, dst []byte) ([]byte, error) {
			return dst, fmt.Errorf("%w: after %s", executor.ErrTrap, m.add(request))
		}
		return []native.Func{told(abi.OK), told(abi.OK), restore, panics, traps, told(abi.Error)}
	}}
}

// A memory is the last that an instance was told.
type memory struct {
	mu sync.Mutex
	b  []byte
}

func (m *memory) add(b []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.b = append(m.b, b...)
	m.b = m.b[max(0, len(m.b)-1<<10):]
	return slices.Clone(m.b)
}

func (m *memory) set(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.b = slices.Clone(b)
}

// A lockedBuffer is a log, or an answer that may still be coming.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.b.Bytes())
}

var isolationNames = [2]string{"tenant-a", "tenant-b"}

// papers are the certificates of all runs. Each run begins at the same time of a bubble's clock.
var papers = sync.OnceValues(func() (all [3]*tls.Config, err error) {
	ca, err := identity.NewAuthority()
	if err != nil {
		return all, err
	}
	for i, name := range isolationNames {
		if all[i], err = ca.TLS(identity.UE, name); err != nil {
			return all, err
		}
	}
	all[2], err = ca.TLS(identity.Host, "host")
	return all, err
})

// besiegeByTwo runs a script and returns what is wrong after it.
func besiegeByTwo(t *testing.T, engine executor.Engine, script []byte) (leaks []string) {
	synctest.Test(t, func(t *testing.T) {
		p, err := papers()
		if err != nil {
			t.Fatal(err)
		}
		log := &lockedBuffer{}
		logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		h, err := host.New(host.Config{Engine: engine, TLS: p[2].Clone(), Channels: 6, Modules: 3, Calls: 2, Waiting: 4, CallLimit: time.Second, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		air := &radio.Air{OneWay: time.Millisecond}
		served := make(chan error, 1)
		pc := air.Endpoint(isolationHost)
		go func() { served <- h.Serve(context.Background(), pc) }()
		ues := [2]*isolated{}
		for i := range ues {
			ues[i] = newIsolated(t, air, p[i].Clone(), i)
		}
		for _, step := range slices.Collect(slices.Chunk(script, 4))[:min(maxSteps, (len(script)+3)/4)] {
			step = append(slices.Clone(step), 0, 0, 0)
			who := ues[step[0]>>7]
			who.do(step[0]&0x7f%steps, step[1], step[2], step[3], ues[1-step[0]>>7])
		}
		leaks = append(leaks, notLet(h, ues)...)
		if err := errors.Join(h.Close(), <-served); err != nil {
			t.Error(err)
		}
		if left := h.Tenants(); len(left) > 0 {
			leaks = append(leaks, fmt.Sprintf("a closed host has tenants: %+v", left))
		}
		leaks = append(leaks, overheard(ues, string(log.bytes()))...)
	})
	return leaks
}

var isolationHost = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}

// notLet ends the UEs and returns what the host holds when it has had time to let go.
func notLet(h *host.Handler, ues [2]*isolated) (leaks []string) {
	for i, u := range ues {
		if told := fmt.Sprintf("%+v", h.Tenants()); strings.Contains(told, u.secret) {
			leaks = append(leaks, fmt.Sprintf("the metrics have the secret of %s: %s", ues[i].name, told))
		}
		u.conn.Close("")
		u.streams.Wait()
	}
	time.Sleep(5 * time.Minute) // longer than any frame may take
	for _, s := range h.Tenants() {
		if s.Sessions != 0 || s.Channels != 0 || s.Waiting != 0 {
			leaks = append(leaks, fmt.Sprintf("without UEs the host holds %+v", s))
		}
	}
	return leaks
}

// overheard returns what one tenant has heard of the other one's, and log lines about one that
// have the other's secret.
func overheard(ues [2]*isolated, log string) (leaks []string) {
	for i, u := range ues {
		other := ues[1-i]
		for _, answer := range u.heard {
			if b := answer.bytes(); bytes.Contains(b, []byte(other.secret)) {
				leaks = append(leaks, fmt.Sprintf("%s has heard %.200q", u.name, b))
			}
		}
		leaks = append(leaks, u.knew...)
		for line := range strings.Lines(log) {
			if strings.Contains(line, u.secret) && (strings.Contains(line, other.name) || !strings.Contains(line, u.name)) {
				leaks = append(leaks, fmt.Sprintf("the log tells the secret of %s in a line that is not about it alone: %s", u.name, line))
			}
		}
	}
	return leaks
}

// An isolated is one of the two tenants. All that it sends carries its secret.
type isolated struct {
	t            *testing.T
	air          *radio.Air
	conf         *tls.Config
	name, secret string
	port         int
	conn         *link.Conn
	streams      sync.WaitGroup
	open         []link.Stream        // that a step may reset
	channels     map[byte]link.Stream // attached, by number
	heard        []*lockedBuffer      // answers, each of a stream
	knew         []string             // of the other's modules, where it should know nothing
}

// newIsolated returns tenant i, connected.
func newIsolated(t *testing.T, air *radio.Air, conf *tls.Config, i int) *isolated {
	name := isolationNames[i]
	u := &isolated{t: t, air: air, conf: conf, name: name, secret: "<" + name + " keeps this to itself>", port: 1000 * (i + 1), channels: map[byte]link.Stream{}}
	u.dial()
	return u
}

// dial connects from a port of its own.
func (u *isolated) dial() {
	u.port++
	from := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: u.port}
	var err error
	if u.conn, err = link.Dial(u.t.Context(), u.air.Endpoint(from), isolationHost, u.conf); err != nil {
		u.t.Fatal(err)
	}
}

// send sends b on a stream of its own, and keeps the answer. With end it sends no more after it.
func (u *isolated) send(b []byte, end bool) link.Stream {
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Second)
	defer cancel()
	st, err := u.conn.Open(ctx)
	if err != nil {
		return nil // the host has closed the connection
	}
	st.SetWriteDeadline(time.Now().Add(time.Second))
	st.Write(b)
	if end {
		st.Close()
	}
	answer := &lockedBuffer{}
	u.heard = append(u.heard, answer)
	u.open = append(u.open, st)
	u.streams.Go(func() { io.Copy(answer, io.LimitReader(st, 1<<20)) })
	return st
}

// settle lets what is on its way arrive.
func settle() { time.Sleep(20 * time.Millisecond) }

// module returns a module: the tenant's own, one that both have, or another tenant's own.
func (u *isolated) module(which byte, other *isolated) []byte {
	switch which % 3 {
	case 0:
		return []byte("\x00asm" + u.secret)
	case 1:
		return []byte("\x00asm of both")
	}
	return []byte("\x00asm" + other.secret)
}

// says is what the tenant has to say: its secret, and some bytes.
func (u *isolated) says(n byte) []byte { return append([]byte(u.secret), make([]byte, n)...) }

// do makes a step with arguments x, y and z.
func (u *isolated) do(what, x, y, z byte, other *isolated) {
	id := uint64(x % 4)
	switch what {
	case doHello:
		u.send(wire.AppendControl(nil, wire.TypeHello, wire.Hello{Name: u.secret, Session: uint64(x % 3)}), y%2 == 0)
	case doPut:
		u.send(put(u.module(x%2, other)), true)
	case doHave:
		u.ask(x, wire.AppendControl(nil, wire.TypeHave, wire.Have{Digest: sha256.Sum256(u.module(x, other))}))
	case doCall:
		c := wire.Call{Module: sha256.Sum256(u.module(x, other)), Fn: uint32(y % 7), Deadline: time.Duration(z) * time.Millisecond, Size: len(u.secret) + int(z)}
		u.ask(x, append(wire.AppendCall(nil, c), u.says(z)...))
	case doAttach:
		a := wire.Attach{ID: id, Module: sha256.Sum256(u.module(y>>1, other)), Latest: y%2 == 1, Window: 1 + uint32(z)}
		u.channels[x%4] = u.send(wire.AppendAttach(nil, a), false)
	case doMessage:
		m := wire.Message{Epoch: 1, Seq: uint64(y), Quiet: z&1 == 1, Skip: z&2 == 2, Size: len(u.secret)}
		u.more(x, append(wire.AppendMessage(nil, m), u.secret...))
	case doRestore:
		s := wire.State{Seq: uint64(y), Size: len(u.secret)}
		u.more(x, append(wire.AppendState(nil, wire.TypeRestore, s), u.secret...))
	case doSnapshot:
		u.send(wire.AppendSnapshot(nil, wire.Snapshot{ID: id, Have: wire.NoState}), true)
	case doSingle:
		u.send(append(wire.AppendSingle(nil, wire.Message{ID: id, Epoch: 1, Seq: uint64(y), Size: len(u.secret)}), u.secret...), true)
	case doPart:
		p := wire.Part{ID: id, Epoch: 1, Seq: uint64(z % 4), Index: int(y % 3), Parts: 3, Size: len(u.secret)}
		u.send(append(wire.AppendPart(nil, p), u.secret...), true)
	default:
		u.disturb(what, x, y, z)
	}
	if what != doWait && z&0x80 == 0 { // else the next step comes at the same time
		settle()
	}
}

// disturb makes a step without a request of a session: most are such as no UE of ours makes.
func (u *isolated) disturb(what, x, y, z byte) {
	switch what {
	case doPing:
		u.send(wire.AppendControl(nil, wire.TypePing, wire.Ping{Token: uint64(x), Fill: u.says(y)}), true)
	case doGarbage:
		u.send(append([]byte{x, y, z}, u.secret...), y%2 == 0)
	case doHalf:
		whole := append(wire.AppendCall(nil, wire.Call{Module: sha256.Sum256(u.module(y, u)), Size: len(u.secret)}), u.secret...)
		if x%2 == 0 {
			whole = put(u.module(y, u))
		}
		u.send(whole[:int(z)%len(whole)], y%2 == 0)
	case doReset:
		if len(u.open) > 0 {
			u.open[int(x)%len(u.open)].Reset()
		}
	case doWait:
		time.Sleep(time.Duration(x) * 100 * time.Millisecond)
	case doReconnect:
		u.conn.Close("")
		u.streams.Wait()
		clear(u.channels)
		u.open = nil
		u.dial()
	}
}

// ask sends a request about a module. When that is the other's own, nothing but that there is none may
// come back.
func (u *isolated) ask(which byte, request []byte) {
	before := len(u.heard)
	u.send(request, true)
	if which%3 != 2 || len(u.heard) == before {
		return
	}
	settle()
	b := u.heard[before].bytes()
	var m wire.Loaded
	if r := bytes.NewReader(b); len(b) > 0 && wire.Type(b[0]) == wire.TypeResult || wire.ExpectControl(r, wire.TypeLoaded, &m) == nil && m.Ready {
		u.knew = append(u.knew, fmt.Sprintf("%s has got %.60x for another tenant's module", u.name, b))
	}
}

// more sends frames on the stream of a channel.
func (u *isolated) more(x byte, b []byte) {
	if st := u.channels[x%4]; st != nil {
		st.SetWriteDeadline(time.Now().Add(time.Second))
		st.Write(b)
	}
}

// A host whose instances remember in one place is found out: the check is one.
func TestIsolationIsChecked(t *testing.T) {
	const b = 0x80 // steps of tenant-b; the others are of tenant-a
	script := []byte{
		doPut, 1, 0, 0, b + doPut, 1, 0, 0, doHello, 1, 0, 0, b + doHello, 1, 0, 0,
		doCall, 1, 0, 0, b + doCall, 1, 0, 0, b + doCall, 1, 4, 0,
	}
	leaks := strings.Join(besiegeByTwo(t, remembering(&memory{}), script), "\n")
	for _, want := range []string{"tenant-b has heard", "the log tells the secret of tenant-a"} {
		if !strings.Contains(leaks, want) {
			t.Errorf("%q is not among what was found:\n%s", want, leaks)
		}
	}
	if leaks := besiegeByTwo(t, remembering(nil), script); len(leaks) > 0 {
		t.Errorf("found at a host that keeps them apart: %q", leaks)
	}
}
