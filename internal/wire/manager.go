package wire

import (
	"io"
	"time"

	"github.com/bungee-xr/bungee/offload"
)

// The frames between an offload manager (M) and its UEs and edge hosts (H), who dial it. A
// connection has one stream for them, which both ends write at any time. Each may come twice, or
// again after a reconnection, and changes nothing then.
const (
	TypeEnrol      Type = 0x30 // UE or H to M: sign this key
	TypeCert       Type = 0x31 // its answer
	TypeAsk        Type = 0x32 // UE to M: where may this module run?
	TypeCandidates Type = 0x33 // M to UE: how far are these hosts?
	TypeFeel       Type = 0x34 // UE to M: so far, and calls took so long
	TypePlace      Type = 0x35 // M to UE: run it here
	TypeBye        Type = 0x36 // UE to M: no longer
	TypeRegister   Type = 0x37 // H to M: here I am
	TypeHolding    Type = 0x38 // H to M: these leases I have
	TypeAdopted    Type = 0x39 // M to H: these managers' leases count
	TypeBeat       Type = 0x3a // H to M: so much runs here
	TypeOrder      Type = 0x3b // M to H: do this
	TypeDid        Type = 0x3c // H to M: done, or not
)

// Bounds on what these frames hold. A longer list is cut into several frames.
const (
	MaxID           = 404     // an ID of package identity
	MaxHostName     = 64      // a host's name in its ID
	MaxAddress      = 128     // an address with its port
	MaxAddresses    = 4       // of a host
	MaxHosts        = 16      // of a UE's session
	MaxClass        = 64      // the name of a QoS class
	MaxLabels       = 16      // of a host, and that a UE asks for
	MaxLabel        = 96      // "key=value"
	MaxWhy          = 1 << 10 // a text for people
	MaxCode         = 64      // of enrolment
	MaxCertificate  = 2 << 10 // a certificate or a request for one
	MaxChain        = 3
	MaxRoots        = 8
	MaxLease        = 2 << 10 // a lease's bytes
	MaxLeases       = 32      // in a Holding
	MaxRuns         = 32      // in an Adopted, and in all
	MaxKeys         = 16      // in an Adopted, and in all
	MaxRevoked      = 32      // in an Adopted
	MaxBeatModules  = 32      // in a Beat
	MaxBeatSessions = 128     // in a Beat
	MaxSamples      = 64      // of a probe
)

// A LeaseID names a lease: its claim jti.
type LeaseID = [16]byte

// A Run names what a manager has signed between two starts.
type Run = [16]byte

// A ManagerFrame is one of Enrol, Cert, Ask, Candidates, Feel, Place, Bye, Register, Holding,
// Adopted, Beat, Order and Did.
type ManagerFrame interface {
	frame() Type
	check() error // says which bound it breaks
}

// Enrol asks for a certificate. On a connection whose certificate the manager accepts it renews that
// one, and Code is empty.
type Enrol struct {
	Code    string // names an ID, which the manager has given to an operator
	Request []byte // PKCS #10, DER; the ID in it does not count
}

// Cert answers Enrol.
type Cert struct {
	Chain [][]byte // DER, the peer's own certificate first, without the authority's
	Roots [][]byte // DER: the authorities that are trusted
}

// Need says what a UE's session requires.
type Need struct {
	Latency  time.Duration // of a call, from request to reply
	Rate     float64       // calls a second; 0: as many as InFlight allows
	Up, Down int           // bytes of a request and of a reply
	InFlight int           // calls at once
	Memory   int64         // bytes that an instance may have
	Labels   []string      // that the host must have, "key=value"
	Price    float64       // the most that a host may cost an hour; 0: any
}

// Ask asks for a place, or for another one because what it needs has changed.
type Ask struct {
	Session uint64   // names the session among those of its UE
	Module  [32]byte // digest of the module
	Class   string   // of QoS; "": the policy's default
	Need    Need
	Hosts   []string // names of those that the session is on, the primary first
}

// Candidates answers Ask: hosts that have room. The UE measures them, and answers with a Feel.
type Candidates struct {
	Session uint64
	Round   uint32
	Theta   time.Duration // a host that is further, in round-trip time, is left out
	Hosts   []Candidate
}

// A Candidate is an edge host that has room for a session.
type Candidate struct {
	Host      string
	Addresses []string
}

// Feel says what a UE has measured. It answers Candidates, and comes each second while the session is
// remote.
type Feel struct {
	Session uint64
	Round   uint32 // of the last Candidates
	Links   []LinkFeel
	Calls   []CallsFeel
}

// A LinkFeel is what a UE knows of its way to a host.
type LinkFeel struct {
	Host        string
	RTT, Jitter time.Duration
	Lost, Sent  uint64 // packets, since the connection began
}

// A CallsFeel is what the calls of a second took at a host.
type CallsFeel struct {
	Host     string
	N        uint64 // calls that ended
	Missed   uint64 // of these, by their deadline
	P50, P99 time.Duration
}

// Place says where a session runs from now on. It answers a Feel, or comes by itself. One whose
// Number is not above the last one's changes nothing.
type Place struct {
	Session          uint64
	Number           uint64
	Primary, Standby Placed        // without a Host: none; without a primary it runs on the UE
	Why              string        // for people
	By               time.Duration // within which the UE should have moved
	RetryAfter       time.Duration // until a new Ask is worth it; 0: only one that needs less
}

// A Placed is a host that a session may use.
type Placed struct {
	Host      string
	Addresses []string
	Lease     []byte // opaque to the UE, which shows it to the host
}

// Bye ends a session. Its leases end.
type Bye struct {
	Session uint64
}

// Register says what a host is. Who it is stands in its certificate. Holding frames follow it.
type Register struct {
	Addresses    []string
	Turns        int   // cores for guests
	Memory       int64 // bytes for instances
	Accelerators []string
	Labels       []string
	Price        float64 // an hour
	Version      string
}

// Holding tells the manager of leases that the host has in its table.
type Holding struct {
	Leases    [][]byte
	More      bool       // another Holding of this list follows
	Addresses [][]string // of each of Leases, as in its Did; shorter: the others have none
}

// Adopted says which leases count. Frames with More belong to one list.
type Adopted struct {
	Run     Run
	Epoch   uint64        // a host obeys the highest that it has seen
	Now     int64         // the manager's clock, in ms since 1970, UTC
	Runs    []Run         // whose leases count, this one's among them
	Keys    [][32]byte    // Ed25519, which may sign leases
	Revoked []string      // IDs whose connections end and whose leases do not count
	Beat    time.Duration // from one Beat to the next
	More    bool
}

// Beat says what a host does. Its counts and sums begin with the host's process. Frames with More belong
// to the Beat of their number.
type Beat struct {
	Number   uint64
	Turns    int   // cores that calls and messages use at the moment
	Held     int64 // bytes of the host's budget
	Modules  []ModuleBeat
	Sessions []SessionBeat
	More     bool
}

// A ModuleState says what a host has of a module.
type ModuleState uint8

// The states of a module.
const (
	ModulePresent  ModuleState = 1 // its bytes, or its machine code on disk
	ModuleCompiled ModuleState = 2 // loaded: a call starts at once
)

// A ModuleBeat is what a host's calls of a module took.
type ModuleBeat struct {
	Module [32]byte
	State  ModuleState
	Calls  uint64        // that have ended
	R, S   time.Duration // sums over them: in the host, and of these in a turn
	S10    time.Duration // 10th percentile of S in the last 60 s; 0: not known
	R50    time.Duration // median of R in the last 30 s; 0: no call
	R99    time.Duration // 99th percentile of R in the last 30 s
}

// A SessionBeat is what a lease is used for.
type SessionBeat struct {
	Lease LeaseID
	Used  bool // a UE has come with it
	Calls uint64
	Idle  time.Duration // since its last call or message, or since it came to be
}

// An OrderKind says what an Order is for.
type OrderKind uint8

// The kinds of orders. A host that does not know one answers Did with CodeProtocol.
const (
	OrderPrepare OrderKind = 1 // hold Lease, and have its module compiled
	OrderLimit   OrderKind = 2 // ID has these Limits
	OrderStop    OrderKind = 3 // ID ends after By
	OrderProbe   OrderKind = 4 // how long do calls of Module take, a module of the tenant of Who, a UE? N samples at most
	OrderDrain   OrderKind = 5 // take no further session, and let go of those that there are
	OrderRevoke  OrderKind = 6 // end the connections of Who
)

// Order asks a host for one thing. The host answers with a Did of the same number.
type Order struct {
	Number uint64
	Epoch  uint64 // of the manager
	Kind   OrderKind

	Lease  []byte
	ID     LeaseID
	Limits Limits
	By     time.Duration
	Module [32]byte
	N      int
	Who    string
}

// Limits are what a lease allows its UE.
type Limits struct {
	Rate   float64 // calls a second; 0: any
	Memory int64   // bytes of each instance that runs for the UE; 0: as the policy says
	Share  int     // calls at once that the session needs, for a manager that begins anew: hosts bound nothing by it
}

// Did answers an Order.
type Did struct {
	Number    uint64
	Failed    bool
	Code      offload.Code    // of a failure
	Why       string          // of a failure, or what a manager's operator should know of Samples
	Addresses []string        // where the lease's UE may come; none: the host's own
	Samples   []time.Duration // of a probe: L_inf
	Ready     time.Duration   // that the module took to be ready

	RetryAfter time.Duration // of a probe: until the host runs another one, of any module; 0: it may at once
}

func (Enrol) frame() Type      { return TypeEnrol }
func (Cert) frame() Type       { return TypeCert }
func (Ask) frame() Type        { return TypeAsk }
func (Candidates) frame() Type { return TypeCandidates }
func (Feel) frame() Type       { return TypeFeel }
func (Place) frame() Type      { return TypePlace }
func (Bye) frame() Type        { return TypeBye }
func (Register) frame() Type   { return TypeRegister }
func (Holding) frame() Type    { return TypeHolding }
func (Adopted) frame() Type    { return TypeAdopted }
func (Beat) frame() Type       { return TypeBeat }
func (Order) frame() Type      { return TypeOrder }
func (Did) frame() Type        { return TypeDid }

// managerFrames reads the body of each frame.
var managerFrames = map[Type]func(io.Reader) (ManagerFrame, error){
	TypeEnrol:      readAs[Enrol],
	TypeCert:       readAs[Cert],
	TypeAsk:        readAs[Ask],
	TypeCandidates: readAs[Candidates],
	TypeFeel:       readAs[Feel],
	TypePlace:      readAs[Place],
	TypeBye:        readAs[Bye],
	TypeRegister:   readAs[Register],
	TypeHolding:    readAs[Holding],
	TypeAdopted:    readAs[Adopted],
	TypeBeat:       readAs[Beat],
	TypeOrder:      readAs[Order],
	TypeDid:        readAs[Did],
}

func readAs[T ManagerFrame](r io.Reader) (ManagerFrame, error) {
	var f T
	err := ReadControl(r, &f)
	return f, err
}

// ReadManagerFrame reads a frame of type t, which has been read. A Fail in its place is returned as
// *Fail, another frame as ErrFrame.
func ReadManagerFrame(r io.Reader, t Type) (ManagerFrame, error) {
	if t == TypeFail {
		fail, err := ReadFail(r)
		if err != nil {
			return nil, err
		}
		return nil, fail
	}
	read, ok := managerFrames[t]
	if !ok {
		return nil, malformed("frame 0x%02x between a manager and its peer", t)
	}
	return read(r)
}

// AppendManagerFrame appends f. It fails when f breaks a bound, and says which.
func AppendManagerFrame(b []byte, f ManagerFrame) ([]byte, error) {
	if err := f.check(); err != nil {
		return b, err
	}
	return appendControl(b, f.frame(), f)
}
