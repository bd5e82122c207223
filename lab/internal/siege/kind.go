package siege

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/link"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// A Kind is a kind of hostile call: what is sent, and which answers a host may give. Each call gets
// one answer.
type Kind struct {
	Name    string
	Allowed []Response
	// Share is how often it is made, beside the others. A kind that takes long has a small one.
	Share int
	// NN says that it needs a host that serves networks.
	NN bool
	do func(ctx context.Context, c *caller) (Response, error)
}

// A Response is what a host says to a request, in short: the frame's type, and of a Result or an Outcome the
// status, of a Fail or a Halt the code, of a Loaded 1 for yes. The zero Response is none: the caller gave
// the request up.
type Response struct {
	Type wire.Type
	Code byte
}

// givenUp is no answer: the caller did not wait for one.
var givenUp = Response{}

func result(s abi.Status) Response      { return Response{wire.TypeResult, byte(s)} }
func fail(c offload.Code) Response      { return Response{wire.TypeFail, byte(c)} }
func halt(c offload.Code) Response      { return Response{wire.TypeHalt, byte(c)} }
func either(all ...Response) []Response { return all }

// String returns the answer in words, such as "fail guest trapped".
func (a Response) String() string {
	switch a.Type {
	case 0:
		return "given up"
	case wire.TypeResult:
		return "result " + statusText(a.Code)
	case wire.TypeFail:
		return "fail " + codeText(a.Code)
	case wire.TypeHalt:
		return "halt " + codeText(a.Code)
	case wire.TypeLoaded:
		return [...]string{"loaded no", "loaded yes"}[min(a.Code, 1)]
	case wire.TypeOutcome:
		return "outcome " + statusText(a.Code)
	case wire.TypeState:
		return "state"
	}
	return fmt.Sprintf("frame 0x%02x", byte(a.Type))
}

// statusText is a status of the guest ABI.
func statusText(s byte) string {
	return [...]string{"ok", "error", "panic", "both", "unknown"}[min(s, 4)]
}

// codeText is a code without an explanation.
func codeText(c byte) string { return (&wire.Fail{Code: offload.Code(c)}).Error() }

// Kinds returns all kinds.
func Kinds() []Kind {
	return slices.Concat(wrongFrames, wrongModules, wrongGuests, wrongHostCalls, wrongChannels, cancels)
}

// Expected says whether a host may answer so.
func (k *Kind) Expected(a Response) bool { return slices.Contains(k.Allowed, a) }

// AllowedText lists the answers that a host may give.
func (k *Kind) AllowedText() string {
	var all []string
	for _, a := range k.Allowed {
		all = append(all, a.String())
	}
	return strings.Join(all, " or ")
}

// A caller makes the hostile calls on one connection, one at a time.
type caller struct {
	*UE
	rand *rand.Rand
	// redial makes another connection when a call has ended this one.
	redial func(context.Context) error
}

// answerLimit is how long a caller waits: a host that has not answered until then does not answer.
const answerLimit = 30 * time.Second

// limit bounds how long the caller waits for the host on st.
func (c *caller) limit(st link.Stream) {
	st.SetReadDeadline(time.Now().Add(answerLimit))
	st.SetWriteDeadline(time.Now().Add(answerLimit))
}

// errMore says that a host answered twice.
var errMore = errors.New("a second answer")

// ask opens a stream, sends frames, ends it, and returns the one answer.
func (c *caller) ask(ctx context.Context, frames ...[]byte) (Response, error) {
	a, _, err := c.askFor(ctx, frames...)
	return a, err
}

// askFor is ask that returns the reply of a Result, too.
func (c *caller) askFor(ctx context.Context, frames ...[]byte) (a Response, reply []byte, err error) {
	st, err := c.Open(ctx)
	if err != nil {
		return a, nil, err
	}
	defer st.Reset()
	c.limit(st)
	for _, f := range frames {
		if _, err := st.Write(f); err != nil {
			break // the host may have answered before it had read all
		}
	}
	st.Close()
	if a, reply, err = readAnswer(st); err != nil {
		return a, reply, err
	}
	return a, reply, readEnd(st)
}

// readEnd checks that no other answer follows. A host may reset what it no longer reads.
func readEnd(st io.Reader) error {
	switch t, err := wire.ReadType(st); {
	case err == nil:
		return fmt.Errorf("%w: frame 0x%02x", errMore, byte(t))
	case errors.Is(err, io.EOF), link.IsGivenUp(err):
		return nil
	default:
		return err
	}
}

// readAnswer reads the first frame that answers a request. What only tells a channel how it goes on is passed over.
func readAnswer(st io.Reader) (a Response, reply []byte, err error) {
	for {
		t, err := wire.ReadType(st)
		if err != nil {
			return a, nil, fmt.Errorf("no answer: %w", err)
		}
		if t != wire.TypeAttached && t != wire.TypeCredit {
			return readBody(st, t)
		}
		if _, err := wire.ReadCredit(st); err != nil {
			return a, nil, err
		}
	}
}

// readBody reads the rest of a frame of type t.
func readBody(st io.Reader, t wire.Type) (a Response, payload []byte, err error) {
	a.Type = t
	size := 0
	switch t {
	case wire.TypeFail:
		var f *wire.Fail
		if f, err = wire.ReadFail(st); err == nil {
			a.Code = byte(f.Code)
		}
	case wire.TypeHalt:
		var h wire.Halt
		h, err = wire.ReadHalt(st)
		a.Code = byte(h.Fail.Code)
	case wire.TypeResult:
		var r wire.Result
		r, err = wire.ReadResult(st)
		a.Code, size = r.Status, r.Size
	case wire.TypeOutcome:
		var o wire.Outcome
		o, err = wire.ReadOutcome(st)
		a.Code, size = o.Status, o.Size
	case wire.TypeState:
		var s wire.State
		s, err = wire.ReadState(st)
		size = s.Size
	case wire.TypeLoaded:
		var l wire.Loaded
		if err = wire.ReadControl(st, &l); err == nil && l.Ready {
			a.Code = 1
		}
	default:
		err = fmt.Errorf("frame 0x%02x answers a request", byte(t))
	}
	if err != nil {
		return a, nil, err
	}
	payload, err = wire.ReadPayload(st, nil, size)
	return a, payload, err
}
