package notifier

import (
	"path"
	"path/filepath"
	"strings"
)

// A place says which sensors of a driver tell the temperature of the processor or of the skin.
type place struct {
	metric Metric
	driver string // of hwmon: the name of its chip; of a thermal zone: its type. A pattern of path.Match, in lower case
	label  string // of hwmon: a pattern of the input's label. "" is an input without one
}

// chips are those of Linux' hwmon that sit on processors. Chips of the mainboard (nct67xx, it87, asus) are not among
// them: their inputs are often not wired, and then read anything, 109 °C as CPUTIN beside cores of 30 (lm-sensors, issue 294).
var chips = []place{
	// Documentation/hwmon/coretemp.rst: Intel's cores and packages.
	{Temperature, "coretemp", "core *"},
	{Temperature, "coretemp", "package id *"},
	// Documentation/hwmon/k10temp.rst: of AMD's Zen, Tdie and Tccd are measured. Tctl is for fans: 27 degrees more than Tdie on
	// a Threadripper 1900X (drivers/hwmon/k10temp.c, tctl_offset_table). It is taken where it is alone: then it is Tdie.
	// Older processors have no labels, and a scale that is no temperature. The same of zenpower.
	{Temperature, "k10temp", "tdie"},
	{Temperature, "k10temp", "tccd*"},
	{Temperature, "k10temp", "tctl"},
	{Temperature, "zenpower", "tdie"},
	{Temperature, "zenpower", "tccd*"},
	{Temperature, "zenpower", "tctl"},
	// Documentation/hwmon/via-cputemp: VIA's cores. drivers/hwmon/scpi-hwmon.c and scmi-hwmon.c: ARM's boards, by label.
	{Temperature, "via_cputemp", "core *"},
	{Temperature, "sc[pm]i_sensors", "*soc*"},
	{Temperature, "sc[pm]i_sensors", "*cpu*"},
	{Temperature, "sc[pm]i_sensors", "*cluster*"},
}

// zones are Linux' thermal zones, of which boards and phones have up to a hundred. Zones of memory, modem, battery and supply
// are not among them, nor ACPI's (acpitz), of which many never change. Nor are Jetson's PMIC-Die, always 100 °C (psutil,
// issue 1873), or its cv0 to cv2, of which some never answer a read (node_exporter, issue 3071).
var zones = []place{
	// drivers/thermal/intel: the package; drivers/thermal/intel/int340x_thermal: the processor's participants, and the skin's.
	{Temperature, "x86_pkg_temp", ""},
	{Temperature, "tcpu*", ""},
	{Temperature, "b0d4", ""},
	{SkinTemperature, "tskn*", ""},
	// Device trees of Linux: cpu-thermal (Raspberry Pi, Allwinner, Amlogic, i.MX, Jetson), cpu0-thermal, cpu-0-thermal (Qualcomm),
	// cpu_thermal; cpuss of Qualcomm; soc-thermal, bigcore0-thermal, littlecore-thermal, package-thermal (Rockchip).
	{Temperature, "cpu*therm*", ""},
	{Temperature, "soc*therm*", ""},
	{Temperature, "bigcore*", ""},
	{Temperature, "littlecore*", ""},
	{Temperature, "package-thermal", ""},
	// Jetson's hottest place of the die.
	{Temperature, "tj-thermal", ""},
	// Phones by Qualcomm: cpu-0-0-usr, cpu-1-7, cpuss-0-usr, cpu0-silver-usr, and before 2017 sensors with numbers only.
	{Temperature, "cpu-[0-9]*", ""},
	{Temperature, "cpu[0-9]-*", ""},
	{Temperature, "cpuss*", ""},
	{Temperature, "tsens_tz_sensor*", ""},
	// Phones by MediaTek (mtk_ts_cpu.c), Samsung and Google (Exynos and Tensor call the clusters so).
	{Temperature, "mtktscpu", ""},
	{Temperature, "cpu_big*", ""},
	{Temperature, "cpu_little*", ""},
	{Temperature, "big", ""},
	{Temperature, "mid", ""},
	{Temperature, "little", ""},
	// Skins of phones: thermal_info_config.json of Android's thermal services, Google's VIRTUAL-SKIN, Qualcomm's quiet-therm,
	// which lies under the case, far from what heats.
	{SkinTemperature, "skin*therm*", ""},
	{SkinTemperature, "quiet*therm*", ""},
	{SkinTemperature, "virtual-skin", ""},
}

// find returns the metric that a sensor tells, as the table says.
func find(table []place, driver, label string) (Metric, bool) {
	driver, label = strings.ToLower(driver), strings.ToLower(label)
	for _, p := range table {
		if matches(p.driver, driver) && (p.label == label || p.label != "" && label != "" && matches(p.label, label)) {
			return p.metric, true
		}
	}
	return 0, false
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// A probe is a temperature sensor that was found.
type probe struct {
	metric Metric
	name   string // for people
	file   string
	scale  float64 // what the number in the file is multiplied with; 0: not decided
	limit  float64 // °C, from which on the processor is slowed down; 0: not known
}

// maxProbes is how many are read for a sample: one takes a microsecond, or ten where the processor has to be asked.
const maxProbes = 48

// findProbes returns the sensors of hwmon and the thermal zones. Both are looked at: phones have
// entries of hwmon that say nothing of the processor, and boards without any (bottom, issue 814).
func findProbes(sys string) []probe {
	var all []probe
	for _, chip := range glob(sys, "class/hwmon/hwmon*") {
		all = append(all, chipProbes(chip)...)
	}
	for _, zone := range glob(sys, "class/thermal/thermal_zone*") {
		kind := readText(filepath.Join(zone, "type"))
		if m, ok := find(zones, kind, ""); ok {
			all = append(all, probe{metric: m, name: "zone " + kind, file: filepath.Join(zone, "temp"), limit: firstTrip(zone)})
		}
	}
	return all[:min(len(all), maxProbes)]
}

// firstTrip returns the lowest temperature from which on the kernel slows the processor down because of a zone: that of a passive trip point
// (Documentation/driver-api/thermal/sysfs-api.rst). 0: there is none.
func firstTrip(zone string) (lowest float64) {
	for _, file := range glob(zone, "trip_point_*_type") {
		if readText(file) != "passive" {
			continue
		}
		n, ok := readNumber(strings.TrimSuffix(file, "_type") + "_temp")
		if t := float64(n) * scaleOf(n); ok && t >= lowestLimit && (lowest == 0 || t < lowest) {
			lowest = t
		}
	}
	return lowest
}

// chipProbes returns the inputs of a chip that the table knows.
func chipProbes(chip string) (all []probe) {
	name := readText(filepath.Join(chip, "name"))
	measured := false // there is a Tdie or Tccd
	for _, input := range glob(chip, "temp*_input") {
		label := readText(strings.TrimSuffix(input, "_input") + "_label")
		m, ok := find(chips, name, label)
		if !ok {
			continue
		}
		measured = measured || !control(label)
		// coretemp.rst, k10temp.rst: where the processor throttles itself.
		crit, _ := readNumber(strings.TrimSuffix(input, "_input") + "_crit")
		all = append(all, probe{metric: m, name: name + " " + label, file: input, scale: 1e-3, limit: float64(crit) * 1e-3})
	}
	if !measured {
		return all
	}
	kept := all[:0]
	for _, p := range all {
		if !control(p.name) {
			kept = append(kept, p)
		}
	}
	return kept
}

// control says whether a label is that of a value for fans.
func control(label string) bool { return strings.HasSuffix(strings.ToLower(label), "tctl") }

// read returns the temperature in degrees. The unit is what the first number tells; it stays so.
func (p *probe) read(f *files) (float64, error) {
	n, err := f.number(p.file)
	if err != nil {
		return 0, err
	}
	if p.scale == 0 && n > 0 {
		p.scale = scaleOf(n)
	}
	return float64(n) * p.scale, nil
}

// scaleOf returns what a number of a zone is multiplied with to be degrees. The documentation wants thousandths of a degree, but Pine64's has
// whole degrees (build-pine64-image, issue 21), as have Qualcomm's sensors before 2015, and later ones tenths. A
// processor that runs is warmer than 1.5 °C.
func scaleOf(n int64) float64 {
	switch {
	case n < 150:
		return 1
	case n < 1500:
		return 0.1
	}
	return 1e-3
}

// lowestLimitOf returns the sensor of the processor whose limit is the lowest; nil: none has one that can be.
func lowestLimitOf(probes []probe) (low *probe) {
	for i := range probes {
		p := &probes[i]
		if p.metric == Temperature && TemperatureLimit.refuse(p.limit) == "" && (low == nil || p.limit < low.limit) {
			low = p
		}
	}
	return low
}
