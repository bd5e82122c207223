package policy

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseRequirements reads what String writes, such as "latency=100ms rate=15 energy=frugal". Commas may stand in place of blanks, what
// is not named is not required, and "none" requires nothing. The names are
//
//	latency=100ms    a later answer is a miss
//	rate=15          calls a second that are to be possible
//	energy=frugal    or balanced, or performance
//	private          the data must not leave the device
//	price=0.2        the most that an hour of an edge host may cost
func ParseRequirements(s string) (Requirements, error) {
	var r Requirements
	words := strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' })
	if len(words) == 1 && words[0] == "none" {
		return r, nil
	}
	seen := map[string]bool{}
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if seen[name] {
			return Requirements{}, fmt.Errorf("requirements: %q stands twice", name)
		}
		seen[name] = true
		if err := r.set(name, value); err != nil {
			return Requirements{}, fmt.Errorf("requirements: %q: %w", word, err)
		}
	}
	return r, nil
}

// set sets the requirement with that name.
func (r *Requirements) set(name, value string) (err error) {
	switch name {
	case "latency":
		r.Latency, err = time.ParseDuration(value)
		if err == nil && r.Latency <= 0 {
			err = errors.New("a latency is more than zero")
		}
	case "rate":
		r.Rate, err = amount(value)
	case "price":
		r.Price, err = amount(value)
	case "energy":
		r.Energy, err = parseEnergy(value)
	case "private":
		if r.Private = true; value != "" {
			err = errors.New("private has no value")
		}
	default:
		err = errors.New("there are latency=100ms, rate=15, energy=frugal, private and price=0.2")
	}
	return err
}

// amount reads a number above zero.
func amount(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !(x > 0) || math.IsInf(x, 0) {
		return 0, errors.New("want a number above zero")
	}
	return x, nil
}

func parseEnergy(s string) (Energy, error) {
	for e := Balanced; e <= Frugal; e++ {
		if s == e.String() {
			return e, nil
		}
	}
	return 0, errors.New("energy is balanced, performance or frugal")
}

// String returns the preference in lower case.
func (e Energy) String() string {
	switch e {
	case Balanced:
		return "balanced"
	case Performance:
		return "performance"
	case Frugal:
		return "frugal"
	}
	return "unknown"
}

// String returns what is required, as ParseRequirements reads it; "none" where nothing is.
func (r Requirements) String() string {
	var all []string
	if r.Latency != 0 {
		all = append(all, "latency="+r.Latency.String())
	}
	if r.Rate != 0 {
		all = append(all, "rate="+strconv.FormatFloat(r.Rate, 'g', -1, 64))
	}
	if r.Energy != Balanced {
		all = append(all, "energy="+r.Energy.String())
	}
	if r.Private {
		all = append(all, "private")
	}
	if r.Price != 0 {
		all = append(all, "price="+strconv.FormatFloat(r.Price, 'g', -1, 64))
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, " ")
}
