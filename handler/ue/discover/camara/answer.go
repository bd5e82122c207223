package camara

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Zone is an edge cloud zone of an operator, as he names it: data from the network. ID is a UUID where the operator keeps to the API.
type Zone struct {
	ID, Name, Provider string
}

// String names the zone.
func (z Zone) String() string {
	return fmt.Sprintf("edge cloud zone %q (ID %q) of %q", z.Name, z.ID, z.Provider)
}

// An Error is a refusal of the API.
type Error struct {
	Status  int    // of HTTP
	Code    string // as IDENTIFIER_NOT_FOUND; empty if the answer had none
	Message string // for people: what the operator says, 512 bytes of it at most
	// Correlator is by what the operator finds the request.
	Correlator string
}

// Error implements error.
func (e *Error) Error() string {
	code := e.Code
	if code == "" {
		code = "no code"
	}
	return fmt.Sprintf("the edge discovery API answers %d, %s: %q (x-correlator %s)%s", e.Status, code, e.Message, e.Correlator, e.advice())
}

// advice says what to do.
func (e *Error) advice() string {
	switch {
	case e.Status/100 == 3:
		return "; a redirect is not followed, as the token would go along: write the address where it leads into Config.URL"
	case e.Code == "MISSING_IDENTIFIER":
		return "; set Config.Device, or get a three-legged token"
	case e.Code == "UNNECESSARY_IDENTIFIER":
		return "; leave Config.Device out, as the token says which device it is"
	case e.Status == http.StatusUnauthorized:
		return "; Config.Token must return another token"
	}
	return ""
}

const (
	maxCode    = 96
	maxMessage = 512
)

var goodCode = regexp.MustCompile(`^[A-Z][A-Z0-9_.]*$`)

// errorOf returns the refusal that resp is.
func errorOf(resp *http.Response, body []byte, correlator string) error {
	e := &Error{Status: resp.StatusCode, Correlator: correlator, Message: resp.Header.Get("Location")}
	var info struct{ Code, Message string }
	if isJSON(resp) && len(body) <= maxBody && json.Unmarshal(body, &info) == nil {
		e.Message = info.Message
		if len(info.Code) <= maxCode && goodCode.MatchString(info.Code) {
			e.Code = info.Code
		}
	}
	e.Message = strings.ToValidUTF8(e.Message[:min(len(e.Message), maxMessage)], "")
	return e
}

func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// A zoneBody is a Zone in an answer. The second version's schema has one; the first version has a list of one, as the text of the second has, too.
type zoneBody struct {
	ID       string `json:"edgeCloudZoneId"`
	Name     string `json:"edgeCloudZoneName"`
	Provider string `json:"edgeCloudProvider"`
}

// zoneOf reads the answer to a request.
func zoneOf(resp *http.Response, body []byte) (Zone, error) {
	if len(body) > maxBody {
		return Zone{}, fmt.Errorf("it is longer than %d bytes", maxBody)
	}
	if !isJSON(resp) {
		return Zone{}, fmt.Errorf("its Content-Type is %.100q, not application/json", resp.Header.Get("Content-Type"))
	}
	return readZone(body)
}

func readZone(body []byte) (Zone, error) {
	list := make([]zoneBody, 1)
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		err = json.Unmarshal(body, &list)
	} else {
		err = json.Unmarshal(body, &list[0])
	}
	if err != nil {
		return Zone{}, err
	}
	if len(list) == 0 {
		return Zone{}, errors.New("it names no zone")
	}
	z := list[0]
	for _, s := range []struct {
		field, value string
		most         int
	}{{"edgeCloudZoneId", z.ID, 128}, {"edgeCloudZoneName", z.Name, 64}, {"edgeCloudProvider", z.Provider, 64}} {
		if s.value == "" || utf8.RuneCountInString(s.value) > s.most || strings.ContainsFunc(s.value, unicode.IsControl) {
			return Zone{}, fmt.Errorf("%s is missing, has over %d characters, or one that a name cannot have", s.field, s.most)
		}
	}
	return Zone(z), nil
}
