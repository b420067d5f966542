// A cell of the map leads to its page, as its row of the table does.
for (const cell of document.querySelectorAll(".map [data-cell]")) {
  const row = document.querySelector(`a[href="/map/${cell.dataset.cell}"]`);
  if (row === null) continue;
  cell.classList.add("leads");
  cell.addEventListener("click", () => row.click());
}
