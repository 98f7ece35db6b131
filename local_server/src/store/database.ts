/**
 * The file that outlives the process: every version of every resource, in one SQLite database.
 *
 * SQLite (node:sqlite, part of Node) and not a journal of our own: it brings recovery, atomic
 * transactions and rollback, which conditional and transactional FHIR interactions need anyway. In WAL
 * mode with synchronous=NORMAL a committed write survives `kill -9` at once, since it is in the
 * operating system's hands; only a crash of the whole machine may lose the last few, and it never
 * leaves a half-written file. Calls are synchronous: an insert takes some 40 µs.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StatementSync } from 'node:sqlite';
import { DatabaseSync } from 'node:sqlite';

/** A version of a resource as it is kept. `json` is empty for the version that a deletion makes. */
export interface Row {
  type: string;
  id: string;
  versionId: string;
  lastUpdated: string;
  /** Project id; null for what belongs to the server, such as logins. */
  project: string | null;
  deleted: number;
  json: string;
}

export interface HistoryRow {
  versionId: string;
  lastUpdated: string;
  json: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS current (
    type TEXT NOT NULL, id TEXT NOT NULL, versionId TEXT NOT NULL, lastUpdated TEXT NOT NULL,
    project TEXT, deleted INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (type, id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS history (
    seq INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, versionId TEXT NOT NULL,
    lastUpdated TEXT NOT NULL, json TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS history_of ON history (id, type);
  CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
`;

export class Database {
  private readonly db: DatabaseSync;
  private readonly putCurrent: StatementSync;
  private readonly putHistory: StatementSync;
  private readonly selectHistory: StatementSync;
  private readonly countHistory: StatementSync;
  private readonly selectVersion: StatementSync;

  /** Opens `medplum.sqlite` in the folder, making both where they are missing. */
  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.db = new DatabaseSync(join(dataDir, 'medplum.sqlite'));
    // Exclusive: a second server on the same folder would not see this one's memory.
    this.db.exec(
      'PRAGMA busy_timeout = 1000; PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;'
    );
    this.db.exec(SCHEMA);
    this.putCurrent = this.db.prepare(
      `INSERT INTO current (type, id, versionId, lastUpdated, project, deleted, json) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (type, id) DO UPDATE SET versionId = excluded.versionId, lastUpdated = excluded.lastUpdated,
         project = excluded.project, deleted = excluded.deleted, json = excluded.json`
    );
    this.putHistory = this.db.prepare(
      'INSERT INTO history (type, id, versionId, lastUpdated, json) VALUES (?, ?, ?, ?, ?)'
    );
    this.selectHistory = this.db.prepare(
      'SELECT versionId, lastUpdated, json FROM history WHERE id = ? AND type = ? ORDER BY lastUpdated DESC, seq DESC LIMIT ? OFFSET ?'
    );
    this.countHistory = this.db.prepare('SELECT count(*) AS n FROM history WHERE id = ? AND type = ?');
    this.selectVersion = this.db.prepare(
      'SELECT versionId, lastUpdated, json FROM history WHERE id = ? AND type = ? AND versionId = ?'
    );
  }

  /** All current versions, oldest first, deletions included. */
  load(): Iterable<Row> {
    return this.db.prepare('SELECT * FROM current ORDER BY lastUpdated').iterate() as unknown as Iterable<Row>;
  }

  write(row: Row): void {
    const own = !this.db.isTransaction;
    if (own) {
      this.db.exec('BEGIN');
    }
    try {
      this.putCurrent.run(row.type, row.id, row.versionId, row.lastUpdated, row.project, row.deleted, row.json);
      this.putHistory.run(row.type, row.id, row.versionId, row.lastUpdated, row.json);
      if (own) {
        this.db.exec('COMMIT');
      }
    } catch (err) {
      if (own) {
        this.db.exec('ROLLBACK');
      }
      throw err;
    }
  }

  /** Newest first. */
  history(type: string, id: string, limit: number, offset: number): { rows: HistoryRow[]; total: number } {
    const rows = this.selectHistory.all(id, type, limit, offset) as unknown as HistoryRow[];
    return { rows, total: (this.countHistory.get(id, type) as { n: number }).n };
  }

  version(type: string, id: string, versionId: string): HistoryRow | undefined {
    return this.selectVersion.get(id, type, versionId) as unknown as HistoryRow | undefined;
  }

  /** Forgets resources with their whole history. */
  expunge(type: string, ids: readonly string[]): void {
    for (const id of ids) {
      this.db.prepare('DELETE FROM current WHERE type = ? AND id = ?').run(type, id);
      this.db.prepare('DELETE FROM history WHERE id = ? AND type = ?').run(id, type);
    }
  }

  begin(): void {
    this.db.exec('BEGIN');
  }

  commit(): void {
    this.db.exec('COMMIT');
  }

  rollback(): void {
    if (this.db.isTransaction) {
      this.db.exec('ROLLBACK');
    }
  }

  setting(name: string): string | undefined {
    const row = this.db.prepare('SELECT value FROM setting WHERE name = ?').get(name) as { value: string } | undefined;
    return row?.value;
  }

  /** Keeps a value of the server's own, such as its signing key. */
  keep(name: string, value: string): void {
    this.db.prepare('INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)').run(name, value);
  }

  /** Folds the write-ahead log into the database. */
  close(): void {
    if (this.db.isTransaction) {
      this.db.exec('ROLLBACK');
    }
    this.db.close();
  }
}
