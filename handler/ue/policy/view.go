package policy

import "time"

// A View is what is known at one moment: a picture that nobody changes. The zero View knows nothing.
type View struct {
	// At is when the view was made: the time since the UE handler began, on the monotonic clock.
	At     time.Duration `json:",omitzero"`
	Device Device        `json:",omitzero"`
	Link   Link          `json:",omitzero"`
	// Hosts are those that calls may go to, the one in use first; with an offload manager those that it has leased, for as long as it does.
	Hosts []Host `json:",omitzero"`
	// Functions are those that were called or prepared so far. A function keeps its number.
	Functions []Function `json:",omitzero"`
	// Standings are what the Planner settled last, in the order of Functions; later functions may have none.
	Standings []Standing `json:",omitzero"`
}

// A Device is how the UE is.
type Device struct {
	Temperature Reading[float64] `json:",omitzero"` // of the hottest believable sensor [°C]
	Limit       Reading[float64] `json:",omitzero"` // temperature that is not to be passed [°C]
	Thermal     Thermal          `json:",omitzero"` // how the temperature follows the load
	Battery     Reading[float64] `json:",omitzero"` // charge, 0 to 1
	Charging    bool             `json:",omitzero"` // the battery is being charged, or there is none
	Power       Reading[float64] `json:",omitzero"` // that the whole device draws [W]
	Cores       Reading[float64] `json:",omitzero"` // that this process may use, with the limit of its control group
	Load        Reading[float64] `json:",omitzero"` // cores that are busy, by all processes
}

// Thermal is a first-order model of the device's temperature T under a load of L busy cores:
//
//	Tau dT/dt = Ambient + Rise L - T
//
// All are unknown until the readings show them.
type Thermal struct {
	Ambient Reading[float64]       `json:",omitzero"` // where the temperature goes without load [°C]
	Rise    Reading[float64]       `json:",omitzero"` // what a busy core adds to that [K]
	Tau     Reading[time.Duration] `json:",omitzero"` // time constant
	Error   Reading[float64]       `json:",omitzero"` // standard deviation of the readings from the model [K]
}

// A LinkKind is what the way to the edge host begins with.
type LinkKind uint8

// The kinds of links.
const (
	LinkUnknown LinkKind = iota
	Loopback
	Ethernet
	WiFi
	Cellular
)

// String returns the kind in lower case.
func (k LinkKind) String() string {
	switch k {
	case Loopback:
		return "loopback"
	case Ethernet:
		return "ethernet"
	case WiFi:
		return "wifi"
	case Cellular:
		return "cellular"
	}
	return "unknown"
}

// A Link is how the way to the edge host in use is.
type Link struct {
	Kind     LinkKind               `json:",omitzero"`
	RTT      Reading[time.Duration] `json:",omitzero"` // lately
	Jitter   Reading[time.Duration] `json:",omitzero"` // mean difference of one round trip to the next
	Up, Down Reading[float64]       `json:",omitzero"` // what it carries [bytes/s]
	Loss     Reading[float64]       `json:",omitzero"` // share of packets
}

// A Host is an edge host.
type Host struct {
	Name    string                 `json:",omitzero"`
	Ready   bool                   `json:",omitzero"` // it can take calls
	Queue   Reading[time.Duration] `json:",omitzero"` // wait of a call for a turn
	Stretch Reading[float64]       `json:",omitzero"` // how many times longer calls take than on an idle host
	Price   Reading[float64]       `json:",omitzero"` // of an hour, in the operator's unit
}

// A Function is what is known of an elastic function.
type Function struct {
	Name       string           `json:",omitzero"`
	Idempotent bool             `json:",omitzero"`
	Require    Requirements     `json:",omitzero"`
	Rate       Reading[float64] `json:",omitzero"` // calls a second, lately
	UE, Edge   Estimate         `json:",omitzero"`
	// Levels are the fidelities that the application can encode, the best first. None means that there is one.
	Levels []Level `json:",omitzero"`
}

// At returns the estimate for a place.
func (f *Function) At(p Place) *Estimate {
	if p == OnEdge {
		return &f.Edge
	}
	return &f.UE
}

// An Energy says how much energy matters.
type Energy uint8

// The preferences.
const (
	Balanced    Energy = iota // the place that takes less energy, where calls are in time at both alike
	Performance               // the faster place
	Frugal                    // the place that takes less energy, where at most a call in 50 is late there
)

// Requirements are what an application wants of a function's calls. They may change at any time.
type Requirements struct {
	Latency time.Duration `json:",omitzero"` // a later answer is a miss. 0: there is no deadline
	Rate    float64       `json:",omitzero"` // calls that are to be possible [1/s]. 0: as many as come
	Energy  Energy        `json:",omitzero"`
	Private bool          `json:",omitzero"` // the data must not leave the device
	Price   float64       `json:",omitzero"` // the most that an hour of an edge host may cost. 0: any
}

// An Estimate is what is expected of a call at a place.
type Estimate struct {
	Calls   uint64                 `json:",omitzero"` // that were measured
	Recent  int                    `json:",omitzero"` // those of them that it is made of: a few after a jump
	Age     time.Duration          `json:",omitzero"` // since the last of them
	Latency Reading[time.Duration] `json:",omitzero"` // median of the whole call
	Tail    Reading[time.Duration] `json:",omitzero"` // 95 % of calls take no longer; one that is alone does not count
	Spread  Reading[float64]       `json:",omitzero"` // standard deviation, without outliers, as a share of the median
	Missed  Reading[float64]       `json:",omitzero"` // share that was late, or had no answer, lately
	Doubt   int                    `json:",omitzero"` // how many of the last calls in a row were far off the same way: the rest may be no longer true
	CPU     Reading[time.Duration] `json:",omitzero"` // processor time that a call takes of the UE
	// Those that follow are of calls on an edge host.
	Codec    Reading[time.Duration] `json:",omitzero"` // encoding and decoding
	Network  Reading[time.Duration] `json:",omitzero"` // on the way, there and back
	Queue    Reading[time.Duration] `json:",omitzero"` // waiting at the host
	Run      Reading[time.Duration] `json:",omitzero"` // the function itself
	Up, Down Reading[float64]       `json:",omitzero"` // request and reply [bytes]
}

// A Level is a fidelity: how an input is encoded.
type Level struct {
	Quality int                    `json:",omitzero"` // of the codec, 1 to 100
	Size    float64                `json:",omitzero"` // of the picture's side, to that of the best level
	Bytes   Reading[float64]       `json:",omitzero"` // of a request
	UE      Reading[time.Duration] `json:",omitzero"`
	Edge    Reading[time.Duration] `json:",omitzero"` // of the function itself at each place
}
