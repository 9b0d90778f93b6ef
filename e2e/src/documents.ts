/** A valid CPF (check digits by the Receita Federal's rule) from nine digits, for test people. */
export function cpfFrom(nine: string): string {
  const first = checkDigit(nine, 10);
  return `${nine}${first}${checkDigit(nine + first, 11)}`;
}

/** A valid CPF that no other test uses. */
export function newCpf(): string {
  return cpfFrom(String(Math.floor(Math.random() * 900_000_000) + 100_000_000));
}

/** A valid CNPJ, alphanumeric as they are since July 2026 (IN RFB 2.229/2024), from twelve characters. */
export function cnpjFrom(twelve: string): string {
  const first = cnpjDigit(twelve);
  return `${twelve}${first}${cnpjDigit(twelve + first)}`;
}

function checkDigit(digits: string, weight: number): string {
  const sum = [...digits].reduce((total, digit, index) => total + Number(digit) * (weight - index), 0);
  const rest = (sum * 10) % 11;
  return String(rest === 10 ? 0 : rest);
}

function cnpjDigit(text: string): string {
  const values = [...text].map((character) => character.charCodeAt(0) - 48);
  const sum = values.reduceRight((total, value, index) => total + value * (((values.length - 1 - index) % 8) + 2), 0);
  const rest = sum % 11;
  return String(rest < 2 ? 0 : 11 - rest);
}
