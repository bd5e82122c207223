package pack_test

import (
	"math"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/bungee-xr/bungee/offload/pack"
)

// told returns all that people see of t.
func told(t time.Time) string {
	return t.Format("2006-01-02T15:04:05.999999999 MST -07:00:00 ") + t.Location().String()
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Skip("no tz database: apt-get install tzdata, then go test ./offload/pack -run " + t.Name())
	}
	return l
}

func TestTime(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, v := range []time.Time{
		{}, time.Unix(0, 0).UTC(), time.Unix(1<<31, 5).UTC(), time.Unix(1<<34, 0).UTC(), time.Unix(-9e9, 7).UTC(),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), time.Date(-5000, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Unix(math.MaxInt64, 0).UTC(), time.Unix(math.MinInt64, 999999999).UTC(),
		time.Date(2026, 7, 1, 12, 0, 0, 0, berlin), time.Date(2026, 12, 1, 12, 0, 0, 0, berlin), time.Date(1800, 1, 1, 0, 0, 0, 0, berlin),
		time.Date(2026, 7, 1, 12, 0, 0, 0, time.Local), time.Unix(5, 0).In(time.FixedZone("", -7*3600)), time.Unix(5, 0).In(time.FixedZone("CET", 3600)),
	} {
		got := read(t, pack.AppendTime(nil, v), (*pack.Reader).Time)
		if !got.Equal(v) || told(got) != told(v) || v.Location() == time.UTC && got != v {
			t.Errorf("%s came back as %s", told(v), told(got))
		}
	}
}

// A location that the other side does not know is called as before when it is back.
func TestTimeComesBackHome(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	here := time.Date(2026, 7, 1, 12, 0, 0, 0, berlin)
	b := pack.AppendTime(nil, here)
	for i := range len(b) - 3 {
		if string(b[i:i+3]) == "lin" {
			copy(b[i:], "xyz") // no machine knows Europe/Berxyz
		}
	}
	there := read(t, b, (*pack.Reader).Time)
	if there.Hour() != 12 || there.Format("MST") != "CEST" || !there.Equal(here) {
		t.Errorf("there it is %s; want 12:00 CEST", told(there))
	}
	if again := pack.AppendTime(nil, there); string(again) != string(b) {
		t.Errorf("sent on, it is %q; want %q", again, b)
	}
	if same := read(t, b, (*pack.Reader).Time); same != there {
		t.Error("the same time, read twice, is not ==")
	}
}

// A time in UTC has the bytes of vmihailenco/msgpack, and theirs are read.
func TestTimeInterop(t *testing.T) {
	for _, v := range []time.Time{{}, time.Unix(1, 0).UTC(), time.Unix(1e9, 7).UTC(), time.Unix(1<<40, 5).UTC(), time.Unix(-1, 0).UTC()} {
		theirs, err := msgpack.Marshal(v)
		if ours := pack.AppendTime(nil, v); err != nil || string(ours) != string(theirs) {
			t.Errorf("%v: % x; theirs % x, %v", v, ours, theirs, err)
		}
		if got := read(t, theirs, (*pack.Reader).Time); got != v {
			t.Errorf("theirs of %v came as %v", v, got)
		}
	}
}

func TestTimeRefuses(t *testing.T) {
	local := pack.AppendTime(nil, time.Unix(5, 0).In(time.FixedZone("CET", 3600)))
	for _, b := range [][]byte{
		{0xd4, 0xff, 0}, {0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, local[:len(local)-1],
		append(pack.AppendArray(pack.AppendTime(nil, time.Unix(0, 0).UTC()), 0)[:0], 0x91, 0x01),
		pack.AppendInt(append(local[:len(local)-3:len(local)-3], pack.AppendString(nil, "CET")...), 1<<40),
	} {
		r := pack.NewReader(b)
		if got := r.Time(); r.Err() == nil || !got.IsZero() {
			t.Errorf("% x was read as %v", b, got)
		}
	}
}
