/**
 * Documentation Assistant Bot: drafts a clinical document of an encounter, as the user who asks.
 *
 * `$execute {patientId, encounterId, documentationType, format?, saveDraft?, clinicianInput?, includeMedications?,
 * includeVitals?, includeLabResults?, includeAllergies?, referralDetails?}`
 *
 * What was measured, ordered and recorded is copied by code. The model writes the rest, and of that only stays what its
 * sources bear out. Nothing becomes part of the record before a person approves it.
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import type { FailureOutput } from '../lib/failure.ts';
import { sha256 } from '../lib/hash.ts';
import { Sources } from '../lib/model/sources.ts';
import { addContext } from '../lib/note/context.ts';
import { DOCUMENT_TYPES } from '../lib/note/document-types.ts';
import { type LaidOut, layOut } from '../lib/note/layout.ts';
import { type Narrative, writeNarrative } from '../lib/note/narrative.ts';
import { confidenceOf, evidenceOf, type Note, noteOf } from '../lib/note/note.ts';
import { objectiveParts } from '../lib/note/objective.ts';
import { readNoteRecord } from '../lib/note/record.ts';
import { type DraftRequest, readRequest } from '../lib/note/request.ts';
import { type Saved, saveDraft } from '../lib/note/save.ts';
import { type BotRun, CLINICAL_MODEL, runBot, type SuccessOutput } from '../lib/run.ts';

const BOT = {
  key: 'documentation-assistant',
  name: 'Documentation Assistant Bot',
  runsAsUser: true,
  unforeseen: 'LLM_ERROR',
  failureAudit: 'documentation_draft',
  model: CLINICAL_MODEL,
} as const;

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    const request = readRequest(input);
    const record = await readNoteRecord(run, request);
    const { parts, warnings } = objectiveParts(record, request);
    const sources = new Sources();
    await addContext(run, sources, request, record);
    const narrative = await writeNarrative(run, request, sources);
    const note = noteOf(request, record, parts, narrative);
    const laidOut = layOut(note, request.format);
    const used = contextSources(note, sources);
    const confidence = confidenceOf(note, narrative.dropped);
    const saved = request.saveDraft
      ? await saveDraft(run, request, { laidOut, confidence, model: narrative.model, sources: used })
      : undefined;
    noteDraft(run, request, { note, laidOut, narrative, sources, confidence, saved });
    return {
      ...saved?.output,
      documentType: DOCUMENT_TYPES[request.type],
      ...laidOut,
      evidence: evidenceOf(note),
      confidence,
      confidenceCalibrated: false,
      warnings: [
        ...new Set([
          ...warnings,
          ...sources.warnings,
          ...narrative.warnings,
          ...(record.unreadable.size > 0 ? ['RECORD_NOT_READABLE'] : []),
          ...(saved?.warnings ?? []),
        ]),
      ],
      contextSourcesUsed: used,
      medicationsIncluded: medications(note),
    };
  });
}

/** Whatever the document copies or the model was shown, once each. */
function contextSources(note: Note, sources: Sources): string[] {
  const copied = note.objective.parts.flatMap(({ lines }) => lines.map(({ source }) => source));
  return [...new Set([...sources.all.map(({ reference }) => reference), ...copied])];
}

function medications(note: Note): { name: string; source: string }[] {
  const part = note.objective.parts.find(({ title }) => title === 'Medications');
  return (part?.lines ?? []).map(({ name, source }) => ({ name, source }));
}

/** The document is patient data: its hash and counts stand for it. */
function noteDraft(
  run: BotRun,
  request: DraftRequest,
  drafted: {
    note: Note;
    laidOut: LaidOut;
    narrative: Narrative;
    sources: Sources;
    confidence: number;
    saved: Saved | undefined;
  }
): void {
  const { note, laidOut, narrative, sources, confidence, saved } = drafted;
  run.audit.note({
    type: 'documentation_draft',
    action: 'E',
    outcome: saved?.failure === undefined ? '0' : '4',
    ...(saved?.failure === undefined ? {} : { outcomeDesc: saved.failure }),
    patientId: request.patientId,
    encounterId: request.encounterId,
    resource: saved?.taskId && `Task/${saved.taskId}`,
    commandId: saved?.commandId,
    confidence,
    detail: {
      'document-type': request.type,
      'content-sha256': sha256(laidOut.content),
      'content-length': laidOut.content.length,
      statements: evidenceOf(note).length,
      'sentences-dropped': narrative.dropped,
      sources: sources.all.length,
      medications: medications(note).length,
      saved: saved?.taskId === undefined ? 'no' : 'yes',
    },
  });
}
