/**
 * All current resources, in memory, kept equal to the database. Reads and searches never touch the
 * disk; a write goes to the database first, so that memory never shows what could still be lost.
 */
import { deriveIdentifierSearchParameter, getSearchParameter } from '@medplum/core';
import type { Resource } from '@medplum/fhirtypes';
import { Column } from './column.ts';
import type { Database, HistoryRow, Row } from './database.ts';

/** The current version of a resource. It is kept as text: parsing is quick, and objects cost ten times the room. */
export interface Entry extends Readonly<Row> {
  /** Grows with every write: the order in which an unsorted search answers, as the real server's tables mostly do. */
  readonly seq: number;
}

class Shelf {
  readonly entries = new Map<string, Entry>();
  private readonly columns = new Map<string, Column>();

  constructor(private readonly type: string) {}

  put(entry: Entry): void {
    this.entries.delete(entry.id);
    this.entries.set(entry.id, entry);
    if (this.columns.size === 0) {
      return;
    }
    const resource = entry.deleted ? undefined : (JSON.parse(entry.json) as Resource);
    for (const column of this.columns.values()) {
      if (resource) {
        column.put(entry.id, resource);
      } else {
        column.drop(entry.id);
      }
    }
  }

  remove(id: string): void {
    this.entries.delete(id);
    for (const column of this.columns.values()) {
      column.drop(id);
    }
  }

  /** A column is filled when first asked for, and then kept by each write. */
  column(code: string): Column | undefined {
    let column = this.columns.get(code);
    if (!column) {
      const base = code.endsWith(':identifier') ? code.slice(0, -':identifier'.length) : code;
      let parameter = getSearchParameter(this.type, base);
      if (!parameter?.expression) {
        return undefined;
      }
      if (base !== code) {
        parameter = deriveIdentifierSearchParameter(parameter);
      }
      column = new Column(this.type, parameter);
      for (const entry of this.entries.values()) {
        if (!entry.deleted) {
          column.put(entry.id, JSON.parse(entry.json) as Resource);
        }
      }
      this.columns.set(code, column);
    }
    return column;
  }
}

export class Store {
  private readonly shelves = new Map<string, Shelf>();
  private sequence = 0;
  /** Entries as they were before each write of the open transaction; undefined where there was none. */
  private undo: { type: string; id: string; before: Entry | undefined }[] | undefined;

  constructor(private readonly database: Database) {
    for (const row of database.load()) {
      this.shelf(row.type).put({ ...row, seq: ++this.sequence });
    }
  }

  private shelf(type: string): Shelf {
    let shelf = this.shelves.get(type);
    if (!shelf) {
      shelf = new Shelf(type);
      this.shelves.set(type, shelf);
    }
    return shelf;
  }

  get(type: string, id: string): Entry | undefined {
    return this.shelves.get(type)?.entries.get(id);
  }

  entries(type: string): ReadonlyMap<string, Entry> {
    return this.shelf(type).entries;
  }

  types(): string[] {
    return [...this.shelves.keys()];
  }

  /** The values of a search parameter, or undefined when the type has no such parameter. */
  column(type: string, code: string): Column | undefined {
    return this.shelf(type).column(code);
  }

  /** @param transient - Kept in memory only: gone after a restart. */
  put(row: Readonly<Row>, transient = false): void {
    if (!transient) {
      this.database.write(row);
    }
    this.undo?.push({ type: row.type, id: row.id, before: this.get(row.type, row.id) });
    this.shelf(row.type).put({ ...row, seq: ++this.sequence });
  }

  expunge(type: string, ids: readonly string[]): void {
    this.database.expunge(type, ids);
    for (const id of ids) {
      this.shelf(type).remove(id);
    }
  }

  /** Removes a transient entry. */
  forget(type: string, id: string): void {
    this.shelf(type).remove(id);
  }

  history(type: string, id: string, limit: number, offset: number): { rows: HistoryRow[]; total: number } {
    return this.database.history(type, id, limit, offset);
  }

  version(type: string, id: string, versionId: string): HistoryRow | undefined {
    return this.database.version(type, id, versionId);
  }

  begin(): void {
    this.database.begin();
    this.undo = [];
  }

  commit(): void {
    this.database.commit();
    this.undo = undefined;
  }

  rollback(): void {
    this.database.rollback();
    for (const { type, id, before } of (this.undo ?? []).reverse()) {
      if (before) {
        this.shelf(type).put(before);
      } else {
        this.shelf(type).remove(id);
      }
    }
    this.undo = undefined;
  }
}
