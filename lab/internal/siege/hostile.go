package siege

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
)

// The modules whose functions do what no guest should. They are built of hostile.c; the second one imports neural
// networks, too.
var (
	//go:embed testdata/hostile.wasm
	hostileCode []byte
	//go:embed testdata/hostile-nn.wasm
	hostileNNCode []byte

	hostile   = withManifest(hostileCode, `{"host":["bungee_egress","bungee_scratch"],"clock":true}`)
	hostileNN = withManifest(hostileNNCode, `{"host":["bungee_egress","bungee_scratch","wasi_ephemeral_nn"],"models":["*"],"clock":true}`)

	hostileDigest   = sha256.Sum256(hostile)
	hostileNNDigest = sha256.Sum256(hostileNN)
)

// The functions of hostile.c.
const (
	fnEcho = iota
	fnUnreachable
	fnLoadOutside
	fnStoreOutside
	fnFillOutside
	fnCopyOutside
	fnDivide
	fnOverflow
	fnTruncate
	fnRecurse
	fnCallNone
	fnCallOther
	fnCallPast
	fnGrow
	fnGrowTrap
	fnBurn
	fnWait
	fnSleep
	fnExit
	fnReplyOutside
	fnReplyEmpty
	fnStatus
	fnPanic
	fnLarge
	fnLogOutside
	fnWASI
	fnEgress
	fnScratch
	fnFillScratch
	fnNN
	fnRequest
	fnHostileHandle
	fnHostileSave
	fnHostileRestore
	hostileFunctions
)

// Policy is that of a host for hostile calls, in TOML: guests are metered, have little of everything, and
// may connect to nothing.
const Policy = `[default]
meter = true
connect = []

[default.limits]
memory = "4 MiB"
output = "256 KiB"
fuel = 20_000_000
deadline = "25s"
`

// A Hostile is a UE that makes hostile calls and honest ones in turn, on one connection. It is used by
// one goroutine.
type Hostile struct {
	Name string // in honest calls
	Host string
	Conf *tls.Config
	TCP  bool

	caller
	quiet link.Stream // of honest calls; nil: none is open
}

// Enter connects and deploys the modules. It says whether the host serves networks.
func (h *Hostile) Enter(ctx context.Context, seed uint64) (nn bool, err error) {
	h.rand = rand.New(rand.NewPCG(seed, 1))
	h.redial = h.dial
	if err := h.dial(ctx); err != nil {
		return false, err
	}
	for _, wasm := range [][]byte{Guest, hostile} {
		if err := h.Deploy(ctx, wasm); err != nil {
			return false, err
		}
	}
	err = h.Deploy(ctx, hostileNN)
	if isFail(err) {
		return false, nil
	}
	return err == nil, err
}

func (h *Hostile) dial(ctx context.Context) (err error) {
	h.Leave()
	dial := Dial
	if h.TCP {
		dial = DialTCP
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	h.UE, err = dial(ctx, Way{Host: h.Host}, h.Conf)
	return err
}

// Leave ends the connection, if there is one.
func (h *Hostile) Leave() {
	if h.UE != nil {
		h.UE.Close("")
	}
	h.quiet = nil
}

// Call makes a hostile call of kind k and returns the host's answer. An error is a host that did not answer,
// or not once, or that answered with what is wrong in itself.
func (h *Hostile) Call(ctx context.Context, k *Kind) (Response, error) {
	a, err := k.do(ctx, &h.caller)
	if err != nil {
		err = fmt.Errorf("%s: %w", k.Name, err)
	}
	return a, err
}

// ErrCrossed says that the answer to an honest call is not its own.
var ErrCrossed = errors.New("the answer is not the call's")

// Honest makes an honest call and checks the answer.
func (h *Hostile) Honest(ctx context.Context) error {
	if h.quiet == nil || h.UE.Err() != nil {
		var err error
		if h.quiet, err = h.Open(ctx); err != nil {
			return err
		}
	}
	body := fmt.Appendf(nil, "%s/%016x", h.Name, h.rand.Uint64())
	h.quiet.SetReadDeadline(time.Now().Add(answerLimit))
	res, reply, err := Exchange(h.quiet, guestCall(fnAnswer, 0), Answer(100, body))
	switch {
	case err != nil:
		h.quiet.Reset()
		h.quiet = nil
		return fmt.Errorf("an honest call: %w", err)
	case res.Status != 0 || !bytes.Equal(reply, body):
		return fmt.Errorf("%w: %.80q of status %d in place of %q", ErrCrossed, reply, res.Status, body)
	}
	return nil
}

// hostileCall is the frame of a call of the hostile guest.
func hostileCall(fn uint32, deadline time.Duration, request []byte) []byte {
	return frame(wire.Call{Module: hostileDigest, Fn: fn, Deadline: deadline}, request)
}

// arguments are a request that has the guest call host function n.
func arguments(n int, args ...uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(n))
	for i := range 9 {
		var v uint64
		if i < len(args) {
			v = args[i]
		}
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}
