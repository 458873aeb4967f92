/**
 * What the client keeps on disk: a few tables of JSON values, and a file with one line per change.
 *
 * A change is one `write` of one line, so a killed process leaves it whole or not at all: a torn last
 * line is left out at the next start. Reads come from memory.
 */

import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Json } from "./json.ts";

/** One cell: table, key, and the new value; `undefined` removes it. */
export type Change = readonly [table: string, key: string, value: Json | undefined];

const FILE = "zuruf.journal";
/** The file is written anew when it has this many lines more than there are values. */
const STALE_LINES_MAX = 2_000;

export class Journal {
  private readonly tables = new Map<string, Map<string, Json>>();
  private readonly path: string;
  private lines = 0;

  /** Opens the journal in `directory`, which is made if need be. Throws what the file system throws. */
  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.path = join(directory, FILE);
    for (const line of linesOf(this.path)) {
      this.replay(line);
    }
    this.compact();
  }

  /** The values of a table by key, oldest key first. */
  table(name: string): ReadonlyMap<string, Json> {
    return this.tableNamed(name);
  }

  get(table: string, key: string): Json | undefined {
    return this.tableNamed(table).get(key);
  }

  /** Makes all the changes, or none: on disk first, then in memory. Throws what the file system throws. */
  commit(...changes: Change[]): void {
    if (changes.length === 0) {
      return;
    }
    appendFileSync(this.path, `${JSON.stringify(changes.map(asCell))}\n`);
    this.lines += 1;
    this.apply(changes);
    if (this.lines > this.size() + STALE_LINES_MAX) {
      this.compact();
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.tables.clear();
    this.compact();
  }

  private replay(line: string): void {
    try {
      this.apply((JSON.parse(line) as Json[][]).map(asChange));
    } catch {
      // The last line of a process that was killed while writing: nobody was told that it happened.
    }
  }

  private apply(changes: readonly Change[]): void {
    for (const [table, key, value] of changes) {
      if (value === undefined) {
        this.tableNamed(table).delete(key);
      } else {
        this.tableNamed(table).set(key, value);
      }
    }
  }

  private compact(): void {
    const values = [...this.tables].flatMap(([table, cells]) =>
      [...cells].map(([key, value]) => `${JSON.stringify([[table, key, value]])}\n`),
    );
    writeFileSync(`${this.path}.new`, values.join(""));
    renameSync(`${this.path}.new`, this.path);
    this.lines = values.length;
  }

  private size(): number {
    return [...this.tables.values()].reduce((sum, cells) => sum + cells.size, 0);
  }

  private tableNamed(name: string): Map<string, Json> {
    let cells = this.tables.get(name);
    if (cells === undefined) {
      cells = new Map();
      this.tables.set(name, cells);
    }
    return cells;
  }
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, "utf8").split("\n").filter(Boolean);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return [];
    }
    throw error;
  }
}

function asCell([table, key, value]: Change): Json[] {
  return value === undefined ? [table, key] : [table, key, value];
}

function asChange(cell: Json[]): Change {
  return [String(cell[0]), String(cell[1]), cell[2]];
}
