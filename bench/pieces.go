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
	m, err := work(name, folder, func(n float64) int64 { return max(10, int64(n*scale)) })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// work is the piece of a name; rows scales its size.
func work(name, folder string, rows func(float64) int64) (measurement, error) {
	switch name {
	case "encode":
		return encodeFloor(folder, rows(1e6), standard)
	case "encode-by-hand":
		return encodeFloor(folder, rows(1e6), byHand)
	case "accept":
		return accept(folder, rows(1e6))
	case "accept-large":
		return accept(folder, rows(30e6))
	case "accept-small":
		return accept(folder, rows(3e5))
	case "accept-xml":
		return acceptXML(folder, rows(250e3))
	case "xmllint":
		return xmllint(folder, rows(250e3))
	case "accept-xml-large":
		return acceptXML(folder, rows(8.3e6))
	case "accept-xml-small":
		return acceptXML(folder, rows(83e3))
	case "accept-xlsx":
		return acceptXLSX(folder, rows(200e3), false)
	case "accept-xlsx-shared":
		return acceptXLSX(folder, rows(200e3), true)
	case "accept-xlsx-large": // as many rows as max_sheet, 256 MiB, allows
		return acceptXLSX(folder, rows(540e3), false)
	case "accept-xlsx-small":
		return acceptXLSX(folder, rows(40e3), false)
	case "inflate":
		return inflate(folder, rows(200e3), false)
	case "inflate-shared":
		return inflate(folder, rows(200e3), true)
	case "file":
		return toFile(folder, rows(1e6))
	case "http":
		return toHTTP(folder, rows(1e5))
	case "http-floor":
		return httpFloor(folder, rows(1e5))
	case "drop":
		return drop(folder, rows(1e4))
	case "drop-floor":
		return httpFloor(folder, rows(1e4))
	case "latency":
		return latency(folder, int(rows(200)))
	case "sftp-latency":
		return sftpLatency(folder, int(rows(200)))
	}
	if m, known, err := layoutPiece(name, folder, rows(layoutRecords(name))); known {
		return m, err
	}
	return measurement{}, fmt.Errorf("there is no piece %q", name)
}
