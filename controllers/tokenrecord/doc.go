// Package tokenrecord deletes TokenRecords that have no owner.
package tokenrecord
