package camara

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"unicode/utf8"
)

// These are the parts of the API's description (code/API_definitions/simple-edge-discovery.yaml and code/common/CAMARA_common.yaml of
// github.com/camaraproject/SimpleEdgeDiscovery, releases r2.3 and r3.1, for POST; r1.3 for GET) that a request and an answer must keep to.
const (
	correlatorPattern = `^[a-zA-Z0-9-_:;./<>{}]{0,256}$`
	phonePattern      = `^\+[1-9][0-9]{4,14}$`
)

var (
	port    = schema{kind: "integer", min: 1, max: 65535}
	ipv4    = schema{kind: "string", maxLength: 15, format: "ipv4"}
	ipv6    = schema{kind: "string", maxLength: 45, format: "ipv6"}
	address = schema{kind: "object", properties: map[string]schema{"publicAddress": ipv4, "privateAddress": ipv4, "publicPort": port}, anyOf: [][]string{{"publicAddress", "privateAddress"}, {"publicAddress", "publicPort"}}}
	device  = schema{kind: "object", minProperties: 1, properties: map[string]schema{
		"phoneNumber": {kind: "string", maxLength: 16, pattern: phonePattern}, "networkAccessIdentifier": {kind: "string", maxLength: 2048}, "ipv4Address": address, "ipv6Address": ipv6,
	}}
	requestBody = schema{kind: "object", properties: map[string]schema{"device": device}}
	zone        = schema{kind: "object", required: []string{"edgeCloudZoneId", "edgeCloudZoneName", "edgeCloudProvider"}, properties: map[string]schema{
		"edgeCloudZoneId": {kind: "string", maxLength: 128, format: "uuid"}, "edgeCloudZoneName": {kind: "string", maxLength: 64}, "edgeCloudProvider": {kind: "string", maxLength: 64}, "device": device,
	}}
	errorInfo = schema{kind: "object", required: []string{"status", "code", "message"}, properties: map[string]schema{
		"status": {kind: "integer", min: 100, max: 599}, "code": {kind: "string", maxLength: 96}, "message": {kind: "string", maxLength: 512},
	}}
)

// A schema is as much of a schema of OpenAPI as these are made of. What is not declared is refused, as the API does since "request body strictness".
type schema struct {
	kind            string
	properties      map[string]schema
	required        []string
	anyOf           [][]string // of which fields one set must be there
	minProperties   int
	min, max        float64
	maxLength       int
	pattern, format string
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// check says where a text of JSON does not keep to s.
func (s schema) check(text []byte) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&v); err != nil {
		return err
	}
	return s.checkValue("$", v)
}

func (s schema) checkValue(at string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		return s.checkObject(at, v)
	case float64:
		if s.kind != "integer" || v != float64(int(v)) || v < s.min || v > s.max {
			return fmt.Errorf("%s: %v is no integer from %v to %v", at, v, s.min, s.max)
		}
		return nil
	case string:
		return s.checkString(at, v)
	}
	return fmt.Errorf("%s: %T, want %s", at, v, s.kind)
}

func (s schema) checkString(at, v string) error {
	ip, ipErr := netip.ParseAddr(v)
	switch {
	case s.kind != "string":
		return fmt.Errorf("%s: a string, want %s", at, s.kind)
	case utf8.RuneCountInString(v) > s.maxLength:
		return fmt.Errorf("%s: %d characters, over %d", at, utf8.RuneCountInString(v), s.maxLength)
	case s.pattern != "" && !regexp.MustCompile(s.pattern).MatchString(v),
		s.format == "uuid" && !uuid.MatchString(v),
		s.format == "ipv4" && (ipErr != nil || !ip.Is4()),
		s.format == "ipv6" && (ipErr != nil || !ip.Is6()):
		return fmt.Errorf("%s: %q is not as %s%s", at, v, s.format, s.pattern)
	}
	return nil
}

func (s schema) checkObject(at string, v map[string]any) error {
	has := func(fields []string) bool {
		return !slices.ContainsFunc(fields, func(f string) bool { _, ok := v[f]; return !ok })
	}
	switch {
	case s.kind != "object":
		return fmt.Errorf("%s: an object, want %s", at, s.kind)
	case !has(s.required):
		return fmt.Errorf("%s: lacks one of %v", at, s.required)
	case len(v) < s.minProperties:
		return fmt.Errorf("%s: is empty", at)
	case s.anyOf != nil && !slices.ContainsFunc(s.anyOf, has):
		return fmt.Errorf("%s: has none of %v", at, s.anyOf)
	}
	for name, field := range v {
		of, ok := s.properties[name]
		if !ok {
			return fmt.Errorf("%s.%s is not declared", at, name)
		}
		if err := of.checkValue(at+"."+name, field); err != nil {
			return err
		}
	}
	return nil
}
