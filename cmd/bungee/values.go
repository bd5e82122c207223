package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The values of flags that know what they may be, so that the command line and the file of --config
// have the same bounds and the same errors. Each is a pflag.Value.

// A number is 0, which is the default, or within bounds.
type number[T int | int64] struct {
	at          *T
	least, most int64
}

// Set implements pflag.Value.
func (n number[T]) Set(s string) error {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v != 0 && (v < n.least || v > n.most) {
		return fmt.Errorf("want a number from %d to %d, or 0 for the default", n.least, n.most)
	}
	*n.at = T(v)
	return nil
}

// String implements pflag.Value.
func (n number[T]) String() string {
	if n.at == nil || *n.at == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*n.at), 10)
}

// Type implements pflag.Value.
func (number[T]) Type() string { return "int" }

// A span is a duration within bounds.
type span struct {
	at          *time.Duration
	least, most time.Duration
}

// Set implements pflag.Value.
func (d span) Set(s string) error {
	v, err := time.ParseDuration(s)
	if err != nil || v < d.least || v > d.most {
		return fmt.Errorf("want a duration from %v to %v, such as 10s", d.least, d.most)
	}
	*d.at = v
	return nil
}

// String implements pflag.Value.
func (d span) String() string {
	if d.at == nil {
		return ""
	}
	return d.at.String()
}

// Type implements pflag.Value.
func (span) Type() string { return "duration" }

// A choice is one of some words.
type choice struct {
	at *string
	of []string
}

// Set implements pflag.Value.
func (c choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("want one of %s", strings.Join(c.of, ", "))
	}
	*c.at = s
	return nil
}

// String implements pflag.Value.
func (c choice) String() string {
	if c.at == nil {
		return ""
	}
	return *c.at
}

// Type implements pflag.Value.
func (choice) Type() string { return "string" }

// A checked is a text that a function finds no fault with.
type checked struct {
	at    *string
	check func(string) error
}

// Set implements pflag.Value.
func (c checked) Set(s string) error {
	if err := c.check(s); err != nil {
		return err
	}
	*c.at = s
	return nil
}

// String implements pflag.Value.
func (c checked) String() string { return choice{at: c.at}.String() }

// Type implements pflag.Value.
func (checked) Type() string { return "string" }
