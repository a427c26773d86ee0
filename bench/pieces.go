package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// piece does one piece of work and prints its measurement.
func piece(name, folder string, scale float64) error {
	if name == "sink" {
		return serveSink()
	}
	rows := func(n float64) int64 { return max(10, int64(n*scale)) }
	var m measurement
	var err error
	switch name {
	case "encode":
		m, err = encodeFloor(folder, rows(1e6), standard)
	case "encode-by-hand":
		m, err = encodeFloor(folder, rows(1e6), byHand)
	case "accept":
		m, err = accept(folder, rows(1e6))
	case "accept-large":
		m, err = accept(folder, rows(30e6))
	case "accept-small":
		m, err = accept(folder, rows(3e5))
	case "accept-xml":
		m, err = acceptXML(folder, rows(250e3))
	case "xmllint":
		m, err = xmllint(folder, rows(250e3))
	case "accept-xml-large":
		m, err = acceptXML(folder, rows(8.3e6))
	case "accept-xml-small":
		m, err = acceptXML(folder, rows(83e3))
	case "accept-xlsx":
		m, err = acceptXLSX(folder, rows(200e3), false)
	case "accept-xlsx-shared":
		m, err = acceptXLSX(folder, rows(200e3), true)
	case "accept-xlsx-large": // as many rows as max_sheet, 256 MiB, allows
		m, err = acceptXLSX(folder, rows(540e3), false)
	case "accept-xlsx-small":
		m, err = acceptXLSX(folder, rows(40e3), false)
	case "inflate":
		m, err = inflate(folder, rows(200e3), false)
	case "inflate-shared":
		m, err = inflate(folder, rows(200e3), true)
	case "file":
		m, err = toFile(folder, rows(1e6))
	case "http":
		m, err = toHTTP(folder, rows(1e5))
	case "http-floor":
		m, err = httpFloor(folder, rows(1e5))
	case "drop":
		m, err = drop(folder, rows(1e4))
	case "drop-floor":
		m, err = httpFloor(folder, rows(1e4))
	case "latency":
		m, err = latency(folder, int(rows(200)))
	case "sftp-latency":
		m, err = sftpLatency(folder, int(rows(200)))
	default:
		known := false
		if m, known, err = layoutPiece(name, folder, rows(layoutRecords(name))); !known {
			err = fmt.Errorf("there is no piece %q", name)
		}
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}
