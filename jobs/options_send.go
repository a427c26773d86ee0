package jobs

import (
	"go.yaml.in/yaml/v4"

	"waybill/formats"
)

// Send is one route of a job: what is made of each record (or of the whole entry) for one destination.
type Send struct {
	To      string            `yaml:"to" ref:"destinations" required:"true" doc:"name of a destination"`
	Each    string            `yaml:"each" enum:"record,file,window" default:"record" doc:"one message per record, or one for all: file for what a file held, window for what a query returned"`
	For     string            `yaml:"for" doc:"the kind of records that are sent here, where read.records names kinds"`
	When    string            `yaml:"when" as:"expression" doc:"which records are sent here"`
	Key     []string          `yaml:"key" one:"true" as:"value" doc:"what identifies the message for ever; left out: the file and the record's number"`
	Method  string            `yaml:"method" enum:"POST,PUT,PATCH,DELETE,GET" doc:"HTTP method, POST by default"`
	Path    string            `yaml:"path" as:"template" doc:"appended to the destination's URL"`
	Query   map[string]string `yaml:"query" as:"value" doc:"parameters of the URL"`
	Headers map[string]string `yaml:"headers" as:"value" doc:"HTTP or AMQP headers"`
	Body    yaml.Node         `yaml:"body" as:"node" doc:"a tree in the shape of the output, whatever as says; left out: the record itself, or the file's bytes"`
	Missing string            `yaml:"missing" enum:"omit,null" default:"omit" doc:"what a field that is not there becomes in the body"`

	RoutingKey string `yaml:"routing_key" as:"template" doc:"amqp: routing key"`
	Exchange   string `yaml:"exchange" doc:"amqp: exchange, if not the destination's"`

	Name            string          `yaml:"name" as:"template" doc:"file: name below the destination's folder"`
	Exists          string          `yaml:"exists" enum:"number,same-or-fail,replace" doc:"file: what to do when the name is taken"`
	Marker          string          `yaml:"marker" as:"template" doc:"file: name of an empty file made when the file is complete; {name} is the file's"`
	Columns         []Column        `yaml:"columns" doc:"csv, tsv, xlsx, fixed: columns of the file, or of the rows of a message; json, ndjson: members of the records of a file"`
	Header          *WrittenSection `yaml:"header" doc:"csv, tsv, fixed, ndjson: a row before the records; json: members before their list; xml: elements before those of the records, and attributes of the root"`
	Records         WrittenRecords  `yaml:"records" doc:"csv, tsv, fixed, ndjson: several kinds of rows by name, instead of columns; json: the member that holds the list of records"`
	Trailer         *WrittenSection `yaml:"trailer" doc:"csv, tsv, fixed, ndjson: a row behind the records; json: members behind their list; xml: elements behind those of the records"`
	Totals          []Total         `yaml:"totals" doc:"figures over the rows that are written; totals.NAME in trailer"`
	formats.Writing `yaml:",inline"`
	NoRows          string `yaml:"no_rows" enum:"skip,write" default:"skip" doc:"what becomes of a file, or of a message made of rows, that has none: skip sends nothing, write what stands around them"`

	Success string            `yaml:"success" as:"expression" doc:"what must be true of the answer"`
	Capture map[string]string `yaml:"capture" as:"value" doc:"what to keep of the answer"`
	_       struct{}          `later:"envelope,multipart,steps,undone,answers,copy,entity,posting,table,upsert,newer"`
}

// Column is one column of a written file.
type Column struct {
	formats.Column `yaml:",inline"`
	Value          string `yaml:"value" required:"true" as:"value" doc:"what stands in it"`
}

// WrittenSection is a row that stands around those of the records.
type WrittenSection struct {
	Kind    string   `yaml:"kind" doc:"what tells it from other rows: it stands before its columns, as the first cell (csv, tsv), the first columns (fixed) or the member kind (ndjson)"`
	Columns []Column `yaml:"columns" required:"true" doc:"its columns; their titles are members in json and ndjson, elements or attributes in xml, and elsewhere only told in messages"`
}

// WrittenRecords says what the records of a written file become.
type WrittenRecords struct {
	Path  string        `yaml:",scalar" doc:"json: the member that holds the list of records, data.items; left out: records where there is a header or a trailer, else the list is all there is"`
	Kinds []WrittenKind `yaml:",items" doc:"the kinds of rows by name"`
}

// WrittenKind is one of several kinds of rows.
type WrittenKind struct {
	Name    string   `yaml:",key"`
	Kind    string   `yaml:"kind" doc:"what tells these rows from others, as in header"`
	For     string   `yaml:"for" doc:"the kind of records that they are made of, where read.records names kinds; left out: that of the same name; not in a message, see for beside to"`
	Each    string   `yaml:"each" as:"expression" doc:"a list of the record: one row for each of its elements, inside which names mean the element, up. the record, and position counts"`
	When    string   `yaml:"when" as:"expression" doc:"which records, or elements, become rows"`
	Columns []Column `yaml:"columns" required:"true" doc:"their columns"`
}
