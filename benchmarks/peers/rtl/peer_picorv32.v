// picorv32 in its "small" configuration (no counters, no two-stage shift, no checks for misaligned access or
// illegal instructions) on a synchronous memory. A store to an address with bit 31 set ends the run.
//
// LOOK_AHEAD = 0: the native interface, ready in the cycle after valid.
// LOOK_AHEAD = 1: the memory is addressed by the core's look-ahead outputs, one cycle before valid, and so is always
// ready. Faster, at the cost of the address path.
`default_nettype none

module peer_top #(
    parameter WORDS = 2048,
    parameter LOOK_AHEAD = 0
) (
    input  wire        clk,
    input  wire        rst,
    output reg         halted,
    output reg  [31:0] result
`ifdef RISCV_FORMAL
    , output wire      retired
`endif
);
    wire        valid, la_write;
    wire [31:0] native_addr, native_wdata, la_addr, la_wdata, rdata;
    wire [3:0]  native_wstrb, la_wstrb;
    reg         acknowledged;

    wire        ready = LOOK_AHEAD ? 1'b1 : acknowledged;
    wire [31:0] addr  = LOOK_AHEAD ? la_addr : native_addr;
    wire [31:0] wdata = LOOK_AHEAD ? la_wdata : native_wdata;
    wire [3:0]  wstrb = LOOK_AHEAD ? la_wstrb : native_wstrb;
    wire        store = LOOK_AHEAD ? la_write : valid && !ready && |native_wstrb;

    always @(posedge clk) begin
        acknowledged <= valid && !ready && !rst;
        if (store && addr[31]) begin
            halted <= 1'b1;
            result <= wdata;
        end
        if (rst) halted <= 1'b0;
    end

    peer_memory #(.WORDS(WORDS)) memory (
        .clk(clk), .i_addr({$clog2(WORDS){1'b0}}), .i_rdata(),
        .d_addr(addr[2 +: $clog2(WORDS)]), .d_wdata(wdata), .d_wmask(wstrb & {4{store && !addr[31]}}), .d_rdata(rdata)
    );

    picorv32 #(
        .ENABLE_COUNTERS(0), .ENABLE_COUNTERS64(0), .TWO_STAGE_SHIFT(0), .CATCH_MISALIGN(0), .CATCH_ILLINSN(0)
    ) cpu (
        .clk(clk), .resetn(!rst), .mem_rdata(rdata), .mem_ready(ready),
        .mem_valid(valid), .mem_addr(native_addr), .mem_wdata(native_wdata), .mem_wstrb(native_wstrb),
        .mem_la_write(la_write), .mem_la_addr(la_addr), .mem_la_wdata(la_wdata), .mem_la_wstrb(la_wstrb),
        .pcpi_wr(1'b0), .pcpi_rd(32'd0), .pcpi_wait(1'b0), .pcpi_ready(1'b0), .irq(32'd0)
`ifdef RISCV_FORMAL
        , .rvfi_valid(retired)
`endif
    );
endmodule
