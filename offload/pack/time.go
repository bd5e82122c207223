package pack

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"time"
)

// extTime is msgpack's own type of extension for times.
const extTime = 0xff

// Bounds of what the name of a location may be. The longest of the tz database has 32 bytes.
const (
	maxLocation     = 255
	maxAbbreviation = 64
)

// errTime says that a timestamp is none of msgpack's three forms.
var errTime = errors.New("no timestamp")

// AppendTime appends t, whichever its year, to the nanosecond. A time in UTC is msgpack's
// timestamp. One in another location is an array of it, the location's name, the
// abbreviation of the zone then in use and its offset from UTC in seconds. The monotonic
// reading is lost.
func AppendTime(b []byte, t time.Time) []byte {
	if t.Location() == time.UTC {
		return appendTimestamp(b, t)
	}
	place := placeOf(t)
	b = appendTimestamp(AppendArray(b, 4), t)
	b = AppendString(b, place.name)
	b = AppendString(b, place.abbreviation)
	return AppendInt(b, int64(place.offset))
}

// appendTimestamp appends t in the shortest of the three forms of a timestamp.
func appendTimestamp(b []byte, t time.Time) []byte {
	sec, nsec := uint64(t.Unix()), uint64(t.Nanosecond())
	switch {
	case sec>>32 == 0 && nsec == 0:
		return binary.BigEndian.AppendUint32(append(b, fixext4, extTime), uint32(sec))
	case sec>>34 == 0:
		return binary.BigEndian.AppendUint64(append(b, fixext8, extTime), nsec<<34|sec)
	}
	b = binary.BigEndian.AppendUint32(append(b, ext8, 12, extTime), uint32(nsec))
	return binary.BigEndian.AppendUint64(b, sec)
}

// Time reads what [AppendTime] appended. A location that this machine knows by its name,
// and that has the same offset at that time, is that location: so Local stays Local, where
// zones agree. Another one has the one zone that it had at that time, and [AppendTime]
// gives it its old name again.
func (r *Reader) Time() time.Time {
	if r.err != nil || r.off >= len(r.b) || r.b[r.off]&0xf0 != fixarray {
		return r.timestamp()
	}
	n := r.Array()
	t := r.timestamp()
	var p place
	if n > 3 {
		p = r.place()
	}
	r.Skip(n - 4)
	if r.err != nil {
		return time.Time{}
	}
	return t.In(p.location(t))
}

func (r *Reader) place() place {
	at := r.off
	name, abbreviation, offset := r.str(), r.str(), r.IntN(64)
	if len(name) > maxLocation || len(abbreviation) > maxAbbreviation || offset != int64(int32(offset)) {
		r.fail(at, "time", ErrRange)
	}
	if r.err != nil {
		return place{}
	}
	return place{string(name), string(abbreviation), int(offset)}
}

func (r *Reader) timestamp() time.Time {
	at := r.off
	kind, data := r.ext("time")
	if r.err != nil {
		return time.Time{}
	}
	var sec, nsec uint64
	switch {
	case kind != extTime:
		r.fail(at, "time", ErrType)
		return time.Time{}
	case len(data) == 4:
		sec = uint64(binary.BigEndian.Uint32(data))
	case len(data) == 8:
		both := binary.BigEndian.Uint64(data)
		sec, nsec = both&(1<<34-1), both>>34
	case len(data) == 12:
		sec, nsec = binary.BigEndian.Uint64(data[4:]), uint64(binary.BigEndian.Uint32(data))
	default:
		nsec = math.MaxUint64
	}
	if nsec >= 1e9 {
		r.fail(at, "time", errTime)
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(nsec)).UTC()
}

// A place is where a time is told: a location, and the zone in use there at that time.
type place struct {
	name         string // of the location
	abbreviation string // of the zone
	offset       int    // of the zone, in seconds east of UTC
}

// places are those of other machines that were read here.
var places = struct {
	mu     sync.Mutex
	made   map[place]*time.Location
	origin map[*time.Location]place
}{made: map[place]*time.Location{}, origin: map[*time.Location]place{}}

// maxPlaces bounds what is kept of other machines' zones. Beyond it a place is a fixed zone
// that is made each time, and its name is lost on the way back.
const maxPlaces = 256

func placeOf(t time.Time) place {
	places.mu.Lock()
	p, ok := places.origin[t.Location()]
	places.mu.Unlock()
	if ok {
		return p
	}
	abbreviation, offset := t.Zone()
	name := t.Location().String()
	return place{name[:min(len(name), maxLocation)], abbreviation[:min(len(abbreviation), maxAbbreviation)], offset}
}

// location returns the location that stands for p at t.
func (p place) location(t time.Time) *time.Location {
	if p.name == "Local" && p.isAt(t, time.Local) {
		return time.Local
	}
	places.mu.Lock()
	l, full := places.made[p], len(places.made) >= maxPlaces
	places.mu.Unlock()
	switch {
	case l != nil && p.isAt(t, l):
		return l
	case full: // whoever sends so many names does not get a look into a file for each
		return time.FixedZone(p.abbreviation, p.offset)
	}
	return p.keep(p.load(t))
}

// load looks for the location by its name. One that is called as its zone is a fixed zone,
// or might as well be.
func (p place) load(t time.Time) *time.Location {
	if p.name != "" && p.name != "Local" && p.name != p.abbreviation {
		if l, err := time.LoadLocation(p.name); err == nil && p.isAt(t, l) {
			return l
		}
	}
	return time.FixedZone(p.abbreviation, p.offset)
}

// keep keeps l for p, if there is room, unless another one is kept.
func (p place) keep(l *time.Location) *time.Location {
	places.mu.Lock()
	defer places.mu.Unlock()
	if kept := places.made[p]; kept != nil && kept.String() == l.String() {
		return kept
	}
	if len(places.origin) < maxPlaces && len(places.made) < maxPlaces {
		places.made[p] = l
		if l.String() != p.name {
			places.origin[l] = p
		}
	}
	return l
}

// isAt says whether p is the zone in use in l at t.
func (p place) isAt(t time.Time, l *time.Location) bool {
	abbreviation, offset := t.In(l).Zone()
	return abbreviation == p.abbreviation && offset == p.offset
}
