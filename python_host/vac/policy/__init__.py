"""SoulLaw: policies in Cedar, compiled when they are loaded to tables that decide for one machine."""
