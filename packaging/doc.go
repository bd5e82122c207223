// Package packaging tests what an operator installs: the systemd unit, the Debian package, the image, and
// the rules of alerts.
package packaging
