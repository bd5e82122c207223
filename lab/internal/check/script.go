package check

import (
	"fmt"
	"strings"
	"time"
)

// A Script is one run of the checker: a network, channels, and what happens to
// them. Its text form has a line for each of these.
type Script struct {
	// Seed decides which packets the network's faults strike.
	Seed uint64
	// Delay is the network's, one way.
	Delay time.Duration
	// Adversary has native code that breaks panic, and judges times and numbers, too.
	Adversary bool
	// TCP has the UE reach its hosts over TCP.
	TCP bool
	// Channels are opened before the first step.
	Channels []Settings
	Steps    []Step
}

// Settings are of a channel, as far as a script varies them. A zero number is the
// channel's own default.
type Settings struct {
	Latest     bool
	Once       bool // the endpoint is not marked idempotent
	Standby    []Host
	Window     int
	Bytes      int // WindowBytes
	InFlight   int
	Deadline   time.Duration
	Checkpoint int // messages
	Interval   time.Duration
	Pad        int // bytes that the far endpoint's state has besides
}

// withDefaults puts the channel's own defaults in for zeros.
func (s Settings) withDefaults() Settings {
	for _, d := range []struct {
		at    *int
		value int
	}{{&s.Window, 256}, {&s.Bytes, 8 << 20}, {&s.InFlight, 2}} {
		if *d.at == 0 {
			*d.at = d.value
		}
	}
	if s.Interval == 0 {
		s.Interval = time.Second
	}
	return s
}

// A Host is the place of a far endpoint: an edge host, or the UE.
type Host string

// The places of a far endpoint.
const (
	UE Host = "UE"
	A  Host = "A"
	B  Host = "B"
	C  Host = "C"
)

var hosts = []Host{A, B, C}

// An Op is what a step does.
type Op string

// The ops. Each but Wait and Drain returns at once; what it began goes on beside the
// next steps.
const (
	// Wait lets For pass.
	Wait Op = "wait"
	// Send has channel Chan send N messages of up to Size bytes, one Every so
	// often. Each Fail-th fails, each Trap-th breaks a guest; Panic, Memory, Large,
	// Overrun and Stubborn are of the other kinds of [poison]. With Vary their
	// sizes and the numbers of their outs differ. Patience, if not 0, is how long
	// a Send waits for room before it is cancelled and done again.
	Send Op = "send"
	// Pause has nobody receive from channel Chan for a time of For.
	Pause Op = "pause"
	// Slow makes each message take Every on Host.
	Slow Op = "slow"
	// Move moves channel Chan to Host. Patience, if not 0, cancels it. With Beside it
	// does not wait for the moves before it.
	Move Op = "move"
	// Place is the word of an offload manager that channel Chan is to be on Host, which may be the UE, with Standby to stand by, if there is one.
	// N is its number: one that is not above the last is nothing. Patience, if not 0, cancels its move, which is done again.
	Place Op = "place"
	// Crash ends Host at once and tells nobody, but with Told the UE's lifeline.
	Crash Op = "crash"
	// Drain asks all to leave Host, and closes it a time of For later. It returns then.
	Drain Op = "drain"
	// Start starts Host again after a crash or a drain: with the same certificate, with
	// Renewed another one of the same authority, with Foreign one of another authority.
	Start Op = "start"
	// Mute makes Host silent for a time of For. It stays alive.
	Mute Op = "mute"
	// Air makes the network lose, double and reorder packets (in percent), vary
	// their delay by Jitter and carry Rate bits a second, for a time of For.
	Air Op = "air"
	// Link is Air for Host only.
	Link Op = "link"
	// Refuse has Host refuse states for a time of For: with Save to give one because it
	// is too large, with Restore to take one because memory lacks.
	Refuse Op = "refuse"
	// Path takes the UE to its other address. With Told the old one goes down first.
	Path Op = "path"
	// Close closes channel Chan, and opens it again.
	Close Op = "close"
	// Shutdown shuts channel Chan down, and opens it again. With Racing those who send
	// go on meanwhile.
	Shutdown Op = "shutdown"
)

var ops = []Op{Wait, Send, Pause, Slow, Move, Place, Crash, Drain, Start, Mute, Air, Link, Refuse, Path, Close, Shutdown}

// A Step is one line of a script. Which fields count depends on Op.
type Step struct {
	Op              Op
	Chan            int
	Host, Standby   Host
	N, Size         int
	Fail, Trap      int
	Panic, Memory   int
	Large           int
	Overrun         int
	Stubborn        int
	Every, For      time.Duration
	Patience        time.Duration
	Loss, Dup, Late int // percent
	Jitter          time.Duration
	Rate            int
	Vary, Told      bool
	Beside, Racing  bool
	Renewed         bool
	Foreign         bool
	Save, Restore   bool
}

// String returns the script's text form, which Parse reads.
func (s *Script) String() string {
	var b strings.Builder
	writeLine(&b, "net", s.fields())
	for i := range s.Channels {
		writeLine(&b, "channel", s.Channels[i].fields())
	}
	for i := range s.Steps {
		b.WriteString(s.Steps[i].String() + "\n")
	}
	return b.String()
}

// String returns the step's line.
func (s *Step) String() string {
	var b strings.Builder
	writeLine(&b, string(s.Op), s.fields())
	return strings.TrimSuffix(b.String(), "\n")
}

func writeLine(b *strings.Builder, word string, fields []field) {
	b.WriteString(word)
	for _, f := range fields {
		switch v := f.at.(type) {
		case *bool:
			if *v {
				fmt.Fprintf(b, " %s", f.name)
			}
		case *int:
			writeValue(b, f.name, *v)
		case *uint64:
			writeValue(b, f.name, *v)
		case *time.Duration:
			writeValue(b, f.name, *v)
		case *Host:
			writeValue(b, f.name, *v)
		case *[]Host:
			writeValue(b, f.name, joined(*v))
		}
	}
	b.WriteByte('\n')
}

// writeValue leaves zeros out.
func writeValue[T comparable](b *strings.Builder, name string, v T) {
	var zero T
	if v != zero {
		fmt.Fprintf(b, " %s=%v", name, v)
	}
}

// joined returns "A,B" of A and B.
func joined(all []Host) (text string) {
	for i, h := range all {
		if i > 0 {
			text += ","
		}
		text += string(h)
	}
	return text
}

// A field is a name in a script's text and where its value is.
type field struct {
	name string
	at   any // *bool, *int, *uint64, *time.Duration, *Host or *[]Host
}

func (s *Script) fields() []field {
	return []field{{"seed", &s.Seed}, {"delay", &s.Delay}, {"adversary", &s.Adversary}, {"tcp", &s.TCP}}
}

func (s *Settings) fields() []field {
	return []field{
		{"latest", &s.Latest}, {"once", &s.Once}, {"standby", &s.Standby},
		{"window", &s.Window}, {"bytes", &s.Bytes}, {"inflight", &s.InFlight}, {"deadline", &s.Deadline},
		{"checkpoint", &s.Checkpoint}, {"interval", &s.Interval}, {"pad", &s.Pad},
	}
}

func (s *Step) fields() []field {
	return []field{
		{"chan", &s.Chan}, {"host", &s.Host}, {"n", &s.N}, {"size", &s.Size}, {"fail", &s.Fail}, {"trap", &s.Trap},
		{"every", &s.Every}, {"for", &s.For}, {"patience", &s.Patience}, {"loss", &s.Loss}, {"dup", &s.Dup},
		{"late", &s.Late}, {"jitter", &s.Jitter}, {"rate", &s.Rate}, {"vary", &s.Vary}, {"told", &s.Told},
		{"panic", &s.Panic}, {"memory", &s.Memory}, {"large", &s.Large}, {"overrun", &s.Overrun}, {"stubborn", &s.Stubborn},
		{"beside", &s.Beside}, {"racing", &s.Racing}, {"renewed", &s.Renewed}, {"foreign", &s.Foreign},
		{"save", &s.Save}, {"restore", &s.Restore}, {"standby", &s.Standby},
	}
}
