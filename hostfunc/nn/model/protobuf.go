package model

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A message is a part of a file: an encoded protobuf message. Large fields, as weights
// are, are passed over without being read.
type message struct {
	r       io.ReaderAt
	at, end int64
	budget  *int // of fields that may still be read, of all messages of the file
}

// The wire types of protobuf.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

var errCut = errors.New("it is cut off, or no protobuf message")

// each calls f for each field: with its bytes, or with its number. Other fields, of fixed
// size, are passed over.
func (m message) each(f func(field int, bytes message, n uint64) error) error {
	for m.at < m.end {
		if *m.budget--; *m.budget < 0 {
			return fmt.Errorf("it has more than %d fields", maxFields)
		}
		tag, err := m.varint()
		if err != nil {
			return err
		}
		n, part := uint64(0), message{}
		switch tag & 7 {
		case wireVarint:
			n, err = m.varint()
		case wire64:
			_, err = m.take(8)
		case wire32:
			_, err = m.take(4)
		case wireBytes:
			if n, err = m.varint(); err == nil {
				part, err = m.take(n)
			}
		default:
			return errCut
		}
		if err != nil {
			return err
		}
		if kind := tag & 7; (kind == wireBytes || kind == wireVarint) && tag>>3 < 1<<29 {
			if err := f(int(tag>>3), part, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// take returns the next n bytes and passes over them.
func (m *message) take(n uint64) (message, error) {
	if n > uint64(m.end-m.at) {
		return message{}, errCut
	}
	part := message{m.r, m.at, m.at + int64(n), m.budget}
	m.at = part.end
	return part, nil
}

func (m *message) varint() (uint64, error) {
	var room [binary.MaxVarintLen64]byte
	b := room[:min(m.end-m.at, int64(len(room)))]
	if n, err := m.r.ReadAt(b, m.at); n < len(b) {
		return 0, errors.Join(errCut, err)
	}
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, errCut
	}
	m.at += int64(n)
	return v, nil
}

// text returns the last field of that number as text, "" where there is none.
func (m message) text(field int) (text string, err error) {
	err = m.each(func(f int, m message, _ uint64) error {
		if f != field || m.r == nil {
			return nil
		}
		size := m.end - m.at
		if size > maxText {
			return fmt.Errorf("a name or a note of %d bytes; want at most %d", size, maxText)
		}
		b := make([]byte, size)
		if n, err := m.r.ReadAt(b, m.at); n < len(b) {
			return errors.Join(errCut, err)
		}
		text = strings.ToValidUTF8(string(b), "?")
		return nil
	})
	return text, err
}
