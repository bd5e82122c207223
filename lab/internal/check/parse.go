package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds on what a script asks for, so that a wrong line ends in an error and not
// in a run without end.
const (
	maxChannels = 8
	maxSteps    = 10_000
	maxMessages = 1_000_000 // of a step
	maxSize     = 1 << 20   // of a message
	maxTime     = time.Hour // virtual
)

// Parse reads a script's text form. Empty lines and those that begin with # do
// not count.
func Parse(text string) (*Script, error) {
	s := &Script{}
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := s.parseLine(words[0], words[1:]); err != nil {
			return nil, fmt.Errorf("line %d, %.100q: %w", i+1, line, err)
		}
	}
	if len(s.Channels) == 0 || len(s.Channels) > maxChannels || len(s.Steps) > maxSteps {
		return nil, fmt.Errorf("%d channels and %d steps, not 1 to %d and at most %d", len(s.Channels), len(s.Steps), maxChannels, maxSteps)
	}
	for i := range s.Steps {
		if s.Steps[i].Chan >= len(s.Channels) {
			return nil, fmt.Errorf("step %q: there are %d channels", s.Steps[i].String(), len(s.Channels))
		}
	}
	return s, nil
}

func (s *Script) parseLine(word string, values []string) error {
	switch {
	case word == "net":
		return parseFields(s.fields(), values)
	case word == "channel":
		s.Channels = append(s.Channels, Settings{})
		return s.Channels[len(s.Channels)-1].parse(values)
	case slices.Contains(ops, Op(word)):
		s.Steps = append(s.Steps, Step{Op: Op(word)})
		return s.Steps[len(s.Steps)-1].parse(values)
	}
	return fmt.Errorf("no line begins with %q", word)
}

func (s *Settings) parse(values []string) error {
	if err := parseFields(s.fields(), values); err != nil {
		return err
	}
	for _, h := range s.Standby {
		if !slices.Contains(hosts, h) {
			return fmt.Errorf("no edge host %q", h)
		}
	}
	if s.Pad > maxSize || len(s.Standby) > len(hosts) {
		return fmt.Errorf("a state of %d bytes, %d standbys", s.Pad, len(s.Standby))
	}
	return nil
}

func (s *Step) parse(values []string) error {
	if err := parseFields(s.fields(), values); err != nil {
		return err
	}
	if s.N > maxMessages || s.Size > maxSize {
		return fmt.Errorf("%d messages of %d bytes, over %d of %d", s.N, s.Size, maxMessages, maxSize)
	}
	edge := slices.Contains(hosts, s.Host)
	switch {
	case (s.Op == Move || s.Op == Place) && !edge && s.Host != UE, s.Host != "" && !edge && s.Host != UE:
		return fmt.Errorf("no host %q", s.Host)
	case s.Standby != "" && (s.Op != Place || !slices.Contains(hosts, s.Standby) || s.Standby == s.Host || s.Host == UE):
		return fmt.Errorf("no host %q can stand by for %q", s.Standby, s.Host)
	case slices.Contains([]Op{Slow, Crash, Drain, Start, Mute, Link, Refuse}, s.Op) && !edge:
		return fmt.Errorf("%s needs host=A, B or C", s.Op)
	}
	return nil
}

func parseFields(fields []field, values []string) error {
	for _, value := range values {
		name, text, _ := strings.Cut(value, "=")
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 {
			return fmt.Errorf("no field %q", name)
		}
		if err := parseValue(fields[i].at, text); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
	}
	return nil
}

func parseValue(at any, text string) (err error) {
	switch at := at.(type) {
	case *bool:
		*at = true
	case *int:
		if *at, err = strconv.Atoi(text); err == nil && *at < 0 {
			err = fmt.Errorf("%d is below 0", *at)
		}
	case *uint64:
		*at, err = strconv.ParseUint(text, 10, 64)
	case *time.Duration:
		if *at, err = time.ParseDuration(text); err == nil && (*at < 0 || *at > maxTime) {
			err = fmt.Errorf("%v is not within 0 to %v", *at, maxTime)
		}
	case *Host:
		*at = Host(text)
	case *[]Host:
		*at = nil
		for _, h := range strings.Split(text, ",") {
			*at = append(*at, Host(h))
		}
	}
	return err
}
