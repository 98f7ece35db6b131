import { canonical } from './grounding.ts';

/** A number and what stands right after it: `8.2 %`, `5-day`, `88 /min`, `6.8mmol/L`. */
const QUANTITY =
  /(?<![A-Za-z0-9.,])(\d{1,20}(?:[.,]\d{1,20}){0,4})[ \u00a0-]?(%|(?:° ?|\/)?[A-Za-zµμ][A-Za-zµμ0-9*^/.[\]{}]{0,24})/g;

/** Units by the spellings that mean the same. */
const SPELLINGS: Record<string, string> = {
  ...{ μg: 'mcg', µg: 'mcg', ug: 'mcg', cc: 'ml', percent: '%', cel: '°c', degc: '°c', degf: '°f' },
  ...{ bpm: '/min', 'beats/min': '/min', 'breaths/min': '/min', iu: 'unit', units: 'unit' },
  ...{ yr: 'year', yrs: 'year', years: 'year', months: 'month', weeks: 'week', days: 'day' },
  ...{ hr: 'hour', hrs: 'hour', hours: 'hour', mins: 'minute', minutes: 'minute', times: 'time' },
  ...{ tablets: 'tablet', capsules: 'capsule', puffs: 'puff', drops: 'drop' },
};

/** What is taken for a unit; any other word after a number is a word. */
const UNITS = new Set(
  [
    '% g kg mg mcg ng pg l ml dl cl fl m cm mm mmhg kpa mol mmol mcmol nmol pmol mosm meq unit mu mui °c °f c f',
    'j kj kcal w hz /min min s sec ms minute hour h day week month year tablet capsule puff drop time',
  ].flatMap((units) => units.split(' '))
);

/**
 * The quantities of a text, each in one spelling: `8.20 %` and `8.2%` are the same, `7 mmol/L` and `7 mg/dL` are not.
 */
export function quantitiesOf(text: string): string[] {
  return [...text.normalize('NFKC').matchAll(QUANTITY)].flatMap(([, number = '', word = '']) => {
    const unit = unitOf(word);
    return unit === undefined ? [] : [`${canonical(number)} ${unit}`];
  });
}

function unitOf(word: string): string | undefined {
  const plain = word.toLowerCase().replace(/[[\]{} ]/g, '').replace(/\.+$/, '');
  const unit = SPELLINGS[plain] ?? plain;
  if (UNITS.has(unit)) {
    return unit;
  }
  const [over = '', ...under] = unit.split('/');
  // A rate or a concentration, such as `mg/dl`, `/min` or `10*3/ul`.
  return under.length > 0 && (over === '' || UNITS.has(SPELLINGS[over] ?? over)) ? unit : undefined;
}

/** The quantities of a text that another text does not have. */
export function unsupportedQuantities(text: string, said: string): string[] {
  const known = new Set(quantitiesOf(said));
  return quantitiesOf(text).filter((quantity) => !known.has(quantity));
}
